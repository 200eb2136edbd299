"""Make m5's golden fixtures: `python -m milestones.m5.golden.make`.

Blocks by the `gguf` package, of random floats of many sizes; and what that package reads from blocks of the kinds that m1
does not know, with random bits and odd scales.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from milestones.m1.golden.make import HALVES

# kind → where the halves are in a block that m1 does not read
SCALES = {"Q5_0": (0,), "Q5_1": (0, 2), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}


def odd_blocks(rng: np.random.Generator, kind: str, size: int) -> np.ndarray:
    """Random bytes, their halves every pair out of HALVES: zero, subnormal, largest, negative; then any finite ones."""
    pairs = np.stack(np.meshgrid(HALVES, HALVES), -1).reshape(-1, 2)
    finite = rng.integers(0, 0x7C00, (100, 2)).astype(np.uint16) | rng.integers(0, 2, (100, 2)).astype(np.uint16) << 15
    pairs = np.concatenate([pairs, finite])
    blocks = rng.integers(0, 256, (len(pairs), size), np.uint8)
    for number, at in enumerate(SCALES[kind]):
        blocks[:, at : at + 2] = np.ascontiguousarray(pairs[:, number : number + 1]).view(np.uint8)
    return blocks


def main() -> None:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

    from reference.golden import save

    rng, command, folder = np.random.default_rng(20245), "python -m milestones.m5.golden.make", Path(__file__).parent
    x = (rng.standard_normal((60, 32)) * 10.0 ** rng.integers(-8, 5, (60, 1))).astype(np.float32)
    x[::5, 7] *= 30
    arrays = {"x": x} | {k: quants.quantize(x, GGMLQuantizationType[k]) for k in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")}
    save(folder, "quantize", arrays, made_by="gguf.quants.quantize", packages=["gguf", "numpy"], command=command)

    read: dict[str, np.ndarray] = {}
    for kind in SCALES:
        blocks = odd_blocks(rng, kind, GGML_QUANT_SIZES[GGMLQuantizationType[kind]][1])
        read |= {f"{kind}_raw": blocks, f"{kind}_values": quants.dequantize(blocks, GGMLQuantizationType[kind])}
    save(folder, "dequantize_k", read, made_by="gguf.quants.dequantize", packages=["gguf", "numpy"], command=command)


if __name__ == "__main__":
    main()
