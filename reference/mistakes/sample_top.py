"""What sample_top's order is if it is written with a known mistake. `(logits, top_k)` → the largest columns, uint32 (k)."""

from collections.abc import Callable

import numpy as np
import torch

from reference.argsort import argsort


def _right(logits: np.ndarray, top_k: int, temperature: float = 1.0) -> np.ndarray:
    return argsort(torch.from_numpy(np.asarray(logits)))[0, :top_k].numpy().astype(np.uint32)


def _of(row: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """The order of something else than the logits."""
    return lambda logits, top_k, temperature=1.0: _right(row(logits), top_k)


def _ties_to_the_higher(logits: np.ndarray, top_k: int, temperature: float = 1.0) -> np.ndarray:
    n = logits.shape[1]
    return n - 1 - _right(np.ascontiguousarray(logits[:, ::-1]), top_k)


def _two_zeros(logits: np.ndarray, top_k: int, temperature: float = 1.0) -> np.ndarray:
    """Told apart by a number so small that nothing else is."""
    return _right(np.where(logits == 0, np.copysign(np.float32(2.0**-120), logits), logits), top_k)


def _one_a_part(logits: np.ndarray, top_k: int, temperature: float = 1.0) -> np.ndarray:
    """Only the largest of each thread's columns can come."""
    n = logits.shape[1]
    kept = np.full_like(logits, -np.inf)
    for part in range(min(1024, n)):
        at = part + 1024 * int(np.argmax(logits[0, part::1024]))
        kept[0, at] = logits[0, at]
    return _right(kept, top_k)


RIGHT = _right
MISTAKES: dict[str, Callable] = {
    "of equal logits the higher column first": lambda x, k, t=1.0: _ties_to_the_higher(x, k).astype(np.uint32),
    "-0 as less than +0": _two_zeros,
    "the smallest first": _of(lambda x: -x),
    "negative logits by the size of their bits": _of(np.abs),
    "the largest of each thread's columns alone: are all columns above the threshold candidates?": _one_a_part,
}
