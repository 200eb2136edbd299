"""The one comparator. `(actual, expected)` in that order, always."""

from __future__ import annotations

from typing import Any

import numpy as np


class Mismatch(AssertionError):  # noqa: N818 - pytest shows the name; it says what it is
    """An output that is not what was expected, with both for a diagnosis."""

    def __init__(self, message: str, got: np.ndarray, want: np.ndarray):
        super().__init__(message)
        self.got, self.want = got, want


def assert_close(actual: Any, expected: Any, allowed: Any, *, what: str = "output") -> None:
    """Assert |actual − expected| ≤ allowed, element by element.

    `allowed` is a number or an array of the same shape, from reference/tolerance.py. Refuses a wrong shape, a wrong dtype,
    NaN and ∞ in `actual` first (NaN never compares as close); then reports how many elements differ, the worst one, its
    index, what was got and expected, its error and the error that was allowed.

    >>> assert_close(np.float32([1, 2]), np.float32([1, 2.5]), 0.1)
    Traceback (most recent call last):
    reference.compare.Mismatch: output: 1 of 2 elements differ (50.0%)
      worst at [1]: got 2.0, expected 2.5, error 0.5, allowed 0.1
      first wrong: [1]
    """
    got, want = _array(actual), _array(expected)
    if got.shape != want.shape:
        raise AssertionError(f"{what}: wrong shape: got {got.shape}, expected {want.shape}")
    if got.dtype.kind != want.dtype.kind:
        raise AssertionError(f"{what}: wrong dtype: got {got.dtype}, expected {want.dtype}")
    if not np.isfinite(want.astype(np.float64)).all():
        raise AssertionError(f"{what}: the expected values hold NaN or ∞; compare those bit by bit instead")
    bad = ~np.isfinite(got.astype(np.float64))
    if bad.any():
        where = _index(np.argmax(bad), got.shape)
        raise Mismatch(
            f"{what}: {bad.sum()} of {got.size} elements are NaN or ∞ ({bad.mean():.1%}), the first at {where}; "
            "outputs are filled with NaN before the kernel runs, so these may never have been written",
            got,
            want,
        )
    error = np.abs(got.astype(np.float64) - want.astype(np.float64))
    limit = np.broadcast_to(np.asarray(_array(allowed), np.float64), error.shape)
    wrong = error > limit
    if not wrong.any():
        return
    worst = int(np.argmax(np.where(wrong, error - limit, -np.inf)))
    places = [_index(i, got.shape) for i in np.flatnonzero(wrong)[:5]]
    raise Mismatch(
        f"{what}: {wrong.sum()} of {got.size} elements differ ({wrong.mean():.1%})\n"
        f"  worst at {_index(worst, got.shape)}: got {got.flat[worst]}, expected {want.flat[worst]}, "
        f"error {error.flat[worst]:.6g}, allowed {limit.flat[worst]:.6g}\n"
        f"  first wrong: {', '.join(places)}",
        got,
        want,
    )


def assert_same(actual: Any, expected: Any, *, what: str = "output") -> None:
    """Assert that two arrays are equal bit for bit (integers, and copies of floats; NaN equals the same NaN)."""
    got, want = _array(actual), _array(expected)
    if got.shape != want.shape:
        raise AssertionError(f"{what}: wrong shape: got {got.shape}, expected {want.shape}")
    if got.dtype != want.dtype:
        raise AssertionError(f"{what}: wrong dtype: got {got.dtype}, expected {want.dtype}")
    bits = f"u{got.dtype.itemsize}"
    wrong = np.ascontiguousarray(got).view(bits) != np.ascontiguousarray(want).view(bits)
    if wrong.any():
        first = int(np.argmax(wrong))
        places = [_index(i, got.shape) for i in np.flatnonzero(wrong)[:5]]
        raise Mismatch(
            f"{what}: {wrong.sum()} of {got.size} elements differ ({wrong.mean():.1%}); the first at "
            f"{_index(first, got.shape)}: got {got.flat[first]}, expected {want.flat[first]}\n"
            f"  first wrong: {', '.join(places)}",
            got,
            want,
        )


def _array(value: Any) -> np.ndarray:
    """NumPy array of a NumPy array, a number or a torch tensor."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _index(flat: Any, shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(int(i)) for i in np.unravel_index(int(flat), shape)) + "]" if shape else "the only element"
