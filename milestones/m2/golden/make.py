"""Make m2's golden fixtures with torch and transformers in float32: `python -m milestones.m2.golden.make`.

Inputs are drawn from a seed; sizes are those of the default model's heads, and small odd ones elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SEED = 20240229
ROPE_BASE, ROPE_STARTS = 1e5, (0, 4000)


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Float32 normal values with an outlier in each row."""
    values = (rng.standard_normal(shape) * scale).astype(np.float32)
    values.reshape(-1, shape[-1])[:, shape[-1] // 3] *= 20
    return values


def rope_by_transformers(x: np.ndarray, start: int) -> np.ndarray:
    """transformers' Llama rotary embedding. It pairs the halves of a head: neighbours are put apart before, together after."""
    import torch
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    tokens, heads, d = x.shape
    config = LlamaConfig(
        hidden_size=heads * d, num_attention_heads=heads, head_dim=d, max_position_embeddings=8192, rope_theta=ROPE_BASE
    )
    halves = torch.from_numpy(np.concatenate([x[..., 0::2], x[..., 1::2]], axis=-1)).transpose(0, 1)[None]
    cos, sin = LlamaRotaryEmbedding(config)(halves, torch.arange(start, start + tokens)[None])
    turned = apply_rotary_pos_emb(halves, halves, cos, sin)[0][0].transpose(0, 1).numpy()
    y = np.empty_like(x)
    y[..., 0::2], y[..., 1::2] = turned[..., : d // 2], turned[..., d // 2 :]
    return y


def main() -> None:
    import torch
    from torch.nn import functional

    from reference.golden import save

    rng = np.random.default_rng(SEED)
    t = torch.from_numpy

    def keep(name: str, oracle: str, packages: tuple[str, ...] = ("torch",), **arrays: np.ndarray) -> None:
        command = "python -m milestones.m2.golden.make"
        save(Path(__file__).parent, name, arrays, made_by=oracle, packages=[*packages, "numpy"], command=command)

    x, weight = normal(rng, 5, 97), normal(rng, 67, 97)
    keep("matmul", "torch.nn.functional.linear", x=x, weight=weight, y=functional.linear(t(x), t(weight)).numpy())

    x, weight = normal(rng, 5, 97, scale=0.01), normal(rng, 1, 97)[0]
    y = functional.rms_norm(t(x), (97,), t(weight), eps=1e-5).numpy()
    keep("rms_norm", "torch.nn.functional.rms_norm, eps 1e-5", x=x, weight=weight, y=y)

    gate, up = normal(rng, 5, 97, scale=4), normal(rng, 5, 97)
    keep("swiglu", "torch.nn.functional.silu(gate) * up", gate=gate, up=up, y=(functional.silu(t(gate)) * t(up)).numpy())

    a, b = normal(rng, 5, 97), normal(rng, 5, 97, scale=1e-3)
    keep("add", "torch.add", a=a, b=b, y=torch.add(t(a), t(b)).numpy())

    x = normal(rng, 5, 3, 64)
    made = {f"y{start}": rope_by_transformers(x, start) for start in ROPE_STARTS}
    keep("rope", f"transformers' LlamaRotaryEmbedding, base {ROPE_BASE:g}", ("transformers", "torch"), x=x, **made)

    q, k, v = normal(rng, 20, 9, 16), normal(rng, 20, 3, 16, scale=0.3), normal(rng, 20, 3, 16)
    heads_first = [t(array).transpose(0, 1)[None] for array in (q, k, v)]
    y = functional.scaled_dot_product_attention(*heads_first, is_causal=True, enable_gqa=True)[0].transpose(0, 1).numpy()
    keep("attention", "torch.nn.functional.scaled_dot_product_attention, causal, grouped", q=q, k=k, v=v, y=y)


if __name__ == "__main__":
    main()
