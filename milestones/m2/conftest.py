"""For the specs of m2's diagrams: a device with a small model, of the kernels that the pages show."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from milestones.m1.config import LlamaConfig

CONFIG = LlamaConfig(
    blocks=3, width=60, ffn=97, heads=6, kv_heads=2, head_dim=8, rope_base=10000.0, eps=1e-5, context=128, vocabulary=131,
    rope_halves=False, tied=True,
)  # fmt: skip


class RandomWeights:
    """Weights of unit-sized effect, so that every block matters."""

    config = CONFIG

    def __init__(self, gpu):
        self._gpu, self._rng = gpu, np.random.default_rng(3)

    def tensor(self, name):
        c, part = CONFIG, name.split(".")[-2]
        wide, narrow = c.heads * c.head_dim, c.kv_heads * c.head_dim
        shapes = {
            "token_embd": (c.vocabulary, c.width), "attn_q": (wide, c.width), "attn_k": (narrow, c.width),
            "attn_v": (narrow, c.width), "attn_output": (c.width, wide), "ffn_gate": (c.ffn, c.width),
            "ffn_up": (c.ffn, c.width), "ffn_down": (c.width, c.ffn),
        }  # fmt: skip
        values = self._rng.standard_normal(shapes.get(part, (c.width,)))
        return self._gpu.tensor(values * 0.3 + ("norm" in part), np.float32)

    def stored(self, name):
        raise AssertionError("a tied model has nothing else stored")


@pytest.fixture
def device(whole_gpu):
    """A Device with a small model, and a token for each character."""
    from milestones.m2.model import Model  # only here: the kernels' specs need none

    kept: dict = {}
    return SimpleNamespace(
        gpu=whole_gpu,
        naive=SimpleNamespace(model=Model(whole_gpu, RandomWeights(whole_gpu))),
        tokenizer=SimpleNamespace(token_bytes=lambda token: bytes([token])),
        encode=lambda text: list(text.encode()),
        kept=lambda name, make: kept[name] if name in kept else kept.setdefault(name, make()),
    )
