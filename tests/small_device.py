"""A small model behind the interface of the diagrams' Device."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from metal.tensor import Gpu, Tensor
from milestones.m1.config import LlamaConfig
from milestones.m2.model import Model


def small_device(gpu: Gpu, config: LlamaConfig, tensors: Mapping[str, Tensor], **others: Any) -> Any:
    """A Device with m2's model of these weights, whose text is a list of ids: "5 17 80". `others` are set, too."""
    kept: dict[str, Any] = {}
    model = Model(gpu, SimpleNamespace(config=config, tensor=tensors.__getitem__))  # type: ignore[arg-type]
    usual = {
        "gpu": gpu,
        "naive": SimpleNamespace(model=model),
        "tokenizer": SimpleNamespace(token_bytes=lambda token: b"%d" % token),
        "encode": lambda text: [int(word) for word in text.split()],
        "kept": lambda name, make: kept[name] if name in kept else kept.setdefault(name, make()),
    }
    return SimpleNamespace(**usual | others)
