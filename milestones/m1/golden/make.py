"""Make m1's golden fixtures: `python -m milestones.m1.golden.make`.

Dequantization by the `gguf` package, of blocks whose scales it chose itself and of blocks with random bits and every odd
scale; rows of a table by torch's embedding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SCALES = {"Q8_0": 1, "Q4_0": 1, "Q4_1": 2}  # halves at the beginning of a block
HALVES = np.uint16([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x3555, 0x7BFF, 0xFBFF])


def odd_blocks(rng: np.random.Generator, size: int, halves: int) -> np.ndarray:
    """Blocks of random bytes, their scales (one or two halves) every pair out of HALVES: zero, subnormal, largest, negative."""
    pairs = np.stack(np.meshgrid(HALVES, HALVES), -1).reshape(-1, 2)[:, :halves]
    blocks = rng.integers(0, 256, (len(pairs), size), np.uint8)
    blocks[:, : 2 * halves] = np.ascontiguousarray(pairs).view(np.uint8)
    return blocks


def main() -> None:
    import torch
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

    from reference.golden import save

    rng = np.random.default_rng(20240)
    weights = (rng.standard_normal((7, 96)) * np.exp(rng.standard_normal((7, 1)))).astype(np.float32)
    arrays: dict[str, np.ndarray] = {}
    for kind, halves in SCALES.items():
        size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]][1]
        chosen = quants.quantize(weights, GGMLQuantizationType[kind]).reshape(-1, size)
        raw = np.concatenate([chosen, odd_blocks(rng, size, halves)])
        arrays[f"{kind}_raw"], arrays[f"{kind}_values"] = raw, quants.dequantize(raw, GGMLQuantizationType[kind])
    finite = np.arange(1 << 16, dtype=np.uint16)
    finite = np.ascontiguousarray(finite[np.isfinite(finite.view(np.float16))][::13])
    arrays["F16_raw"] = finite.view(np.uint8)
    arrays["F16_values"] = quants.dequantize(finite.view(np.uint8), GGMLQuantizationType.F16)
    upper = np.ascontiguousarray(weights.view(np.uint16)[:, 1::2]).view(np.uint8)
    arrays["BF16_raw"], arrays["BF16_values"] = upper, quants.dequantize(upper, GGMLQuantizationType.BF16)
    command = "python -m milestones.m1.golden.make"
    folder = Path(__file__).parent
    save(folder, "dequantize", arrays, made_by="gguf.quants", packages=["gguf", "numpy"], command=command)

    table = rng.standard_normal((37, 33)).astype(np.float32)
    ids = rng.integers(0, 37, 50).astype(np.uint32)
    rows = torch.nn.functional.embedding(torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(table)).numpy()
    made_by = "torch.nn.functional.embedding"
    save(folder, "get_rows", {"table": table, "ids": ids, "rows": rows}, made_by=made_by, packages=["torch"], command=command)


if __name__ == "__main__":
    main()
