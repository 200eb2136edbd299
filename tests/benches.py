"""What benchmarks share: weights of the default model's shapes, as blocks, as tiles and as floats; choices of its tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from gguf import GGMLQuantizationType, quants

from metal.tensor import Gpu, Tensor
from milestones.m3.sampler import Sampler, Settings
from milestones.m5.repack import Packed, Repack
from milestones.m6.sampler import FastSampler
from reference.philox import uniform
from reference.prepare import leave
from reference.sample import draw
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


def choices(
    speed: Callable[..., None],
    gpu: Gpu,
    group: str,
    role: str,
    s: Settings,
    weights: Callable[[torch.Tensor, Settings], np.ndarray],
    pytorch: Callable[[torch.Tensor, Settings], torch.Tensor],
) -> None:
    """Times a choice of one token: m3's sampler is the baseline, m6's the kernel. `weights` of a row (1, VOCABULARY): what the
    reference draws from."""
    rng, found = np.random.default_rng(1), list[int]()
    rows = [rng.standard_normal((1, VOCABULARY), np.float32) * 3 for _ in range(2)]  # by turns: an old result is a wrong one
    on_device, theirs = [gpu.tensor(x) for x in rows], torch.from_numpy(rows[0])
    sampler = (Sampler if role == "baseline" else FastSampler)(gpu, VOCABULARY, s)

    def wanted(step: int) -> int:
        return draw(weights(torch.from_numpy(rows[step % 2]), s), uniform(s.seed, step))

    def choose() -> None:
        step = len(found)
        found.append(sampler.choose(on_device[step % 2], [], step).id)

    def check() -> None:
        assert found[-1] == wanted(len(found) - 1) and found[0] == wanted(0)

    if role == "pytorch":
        speed(group, role, lambda: pytorch(theirs, s), nbytes=theirs.nbytes)
    else:
        speed(group, role, choose, check=check, nbytes=theirs.nbytes)
