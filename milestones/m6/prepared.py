"""What one kernel of a fast step leaves for the next: prepared.h says what is in it."""

from __future__ import annotations

from metal.tensor import FLOAT32, Gpu, Tensor, require, require_dtype
from milestones.m5.matvec_q import KINDS
from milestones.m5.prepare import NIBBLES
from milestones.m5.repack import Packed


def prepared_size(k: int) -> int:
    """Floats of a prepared vector of k values: itself, sums and squares of blocks of 32."""
    return k + k // 16


def room(gpu: Gpu, k: int) -> Tensor:
    """A prepared vector of k values that nobody has written."""
    return gpu.empty((prepared_size(k),))


def nibbles(kind: str) -> int:
    """1 if the x of such a weight is multiplied for its nibbles, else 0."""
    return int(kind in NIBBLES)


def require_prepared(op: str, k: int, **tensors: Tensor) -> None:
    """Raises ValueError naming the first of `tensors` that is no prepared vector of k values."""
    require(k > 0 and k % 32 == 0, f"{op}: vectors of {k} values are not whole blocks of 32")
    for name, tensor in tensors.items():
        require(
            tensor.shape == (prepared_size(k),),
            f"{op}: {name} must be a prepared vector of {k} values, it has shape {tensor.shape}",
        )
    require_dtype(op, FLOAT32, **tensors)


def require_packed(op: str, name: str, weight: Packed, shape: tuple[int, int]) -> None:
    """Raises ValueError unless `weight` is a packed weight of that shape of a kind that there are products for."""
    require(weight.kind in KINDS, f"{op}: there is no product for {weight.kind}, only for {', '.join(KINDS)}")
    require(weight.shape == shape, f"{op}: {name} has shape {weight.shape}, expected {shape}")
