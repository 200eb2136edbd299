"""What benchmarks of packed weights share: weights of the default model's shapes, as blocks, as tiles and as floats."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from gguf import GGMLQuantizationType, quants

from metal.tensor import Gpu, Tensor
from milestones.m5.repack import Packed, Repack
from reference.prepare import leave
from tests.packed import weight

WIDTH, FFN, HEADS, KV_HEADS, D, VOCABULARY, EPS = 576, 1536, 9, 3, 64, 49152, 1e-5  # SmolLM2-135M's


@lru_cache(maxsize=4)
def drawn(kind: str, n: int, k: int, seed: int = 0) -> tuple[np.ndarray, torch.Tensor]:
    """A weight (n, k): its bytes as a file holds them, and as floats."""
    raw = weight(seed, kind, n, k)
    return raw, torch.from_numpy(quants.dequantize(raw.reshape(n, -1), GGMLQuantizationType[kind]))


def packed(gpu: Gpu, kind: str, n: int, k: int, seed: int = 0) -> Packed:
    """The same in tiles."""
    made = Repack(gpu)(gpu.tensor(drawn(kind, n, k, seed)[0]), kind, (n, k))
    gpu.sync()
    return made


def vector(k: int, seed: int = 1) -> np.ndarray:
    """float32 (k)."""
    return np.random.default_rng(seed).standard_normal(k, np.float32)


def prepared(gpu: Gpu, x: np.ndarray, norm: np.ndarray, kind: str) -> Tensor:
    """x · norm as a kernel before leaves it for a weight of `kind`."""
    left = leave(torch.from_numpy(x).double(), torch.from_numpy(norm).double(), kind != "Q8_0")
    return gpu.tensor(left.float().numpy())


def normed(x: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
    """RMSNorm as PyTorch has it."""
    return torch.nn.functional.rms_norm(x, x.shape[-1:], norm, EPS)
