"""Shapes of work that a GPU and the portable device want otherwise: the one place where they are chosen.

A kernel is right at any of them; specs run at others. A GPU has thousands of lanes to fill and wants many small threadgroups.
The portable device has a few cores: a threadgroup is one core's work, and each costs some 0.1 µs more than its kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metal.tensor import Gpu


@dataclass(frozen=True)
class Tuning:
    """Threadgroup widths by kernel file (`other` for the rest), how many rows of the cache make a piece in flash_decode,
    how many tokens of a prompt are one SIMD-group's work in matmul_q, whether matmul_q_matrix takes its place, and how many
    tiles are one SIMD-group's work in greedy_head."""

    piece: int
    other: int
    tokens: int = 32
    matrices: bool = False
    span: int = 1
    widths: dict[str, int] = field(default_factory=dict)

    def width(self, file: str) -> int:
        return self.widths.get(file, self.other)


GPU = Tuning(piece=64, other=64, matrices=True, widths={"sample_wide": 1024, "matmul_q_matrix": 128})
PORTABLE = Tuning(
    piece=256,
    other=32,
    tokens=128,
    span=8,
    widths={
        "norm_head": 512,
        "greedy_head": 64,
        "gate_up_swiglu": 96,
        "qkv_rope_store": 96,
        "flash_decode": 32,
        "embed_token": 1024,
        "sample_wide": 32,
        "matmul_q_matrix": 128,
    },
)


def tuning(gpu: Gpu) -> Tuning:
    """What this device wants."""
    return PORTABLE if gpu.portable else GPU


def tuned(gpu: Gpu, file: str, name: str | None = None) -> Any:
    """The kernel function `name` of m6's `file`, at the width that this device wants."""
    return gpu.kernel("m6", file, name, width=tuning(gpu).width(file))
