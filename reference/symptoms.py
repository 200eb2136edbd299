"""The ways in which kernels go wrong everywhere, told from a wrong output beside the right one.

>>> want = np.float32([[1, 2], [3, 4], [5, 6]])
>>> general(Seen(np.float32([[1, 2], [1, 2], [1, 2]]), want))
["every row is row 0's result: is the row's number used?"]
>>> poisoned = np.uint32([[0x3F800000, 0x40000000], [0x40400000, 0x40800000], [0x7FCDCDCD, 0x7FCDCDCD]]).view(np.float32)
>>> general(Seen(poisoned, want))
['row 2 and up untouched: tail threads, or too few of them?']
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

# What outputs are filled with before a kernel runs: integers with these bytes, floats with a NaN of these bits.
POISON = 0xCD
NAN_BITS = {2: 0x7ECD, 4: 0x7FCDCDCD, 8: 0x7FFDCDCDCDCDCDCD}


def alike(got: Any, made: Any) -> bool:
    """Whether two results are the same but for rounding."""
    if isinstance(got, tuple) or isinstance(made, tuple):
        return isinstance(got, tuple) and isinstance(made, tuple) and len(got) == len(made) and all(map(alike, got, made))
    a, b = _array(got), _array(made)
    if a.shape != b.shape or not a.size:
        return False
    if a.dtype.kind == "f" or b.dtype.kind == "f":
        a, b = a.astype(np.float64), b.astype(np.float64)
        same = np.allclose(a, b, rtol=2e-3, atol=1e-5 * np.abs(np.where(np.isfinite(b), b, 0)).max(initial=0), equal_nan=True)
        return bool(same)
    return bool((a == b).all())


def identical(got: Any, made: Any) -> bool:
    """Whether two results are the same bit for bit; any NaN equals any other."""
    a, b = _array(got), _array(made)
    if a.shape != b.shape or a.dtype != b.dtype or not a.size:
        return False
    return bool(((a.view(f"u{a.dtype.itemsize}") == b.view(f"u{b.dtype.itemsize}")) | ((a != a) & (b != b))).all())


@dataclass
class Seen:
    """A wrong output beside the right one, both of one shape; the threadgroup's width and the inputs where they are known."""

    got: np.ndarray
    want: np.ndarray
    width: int | None = None
    inputs: list | None = None


NOTHING = "nothing was written: every element is still as it was before the kernel ran"


def general(seen: Seen) -> list[str]:
    """What can be said of any wrong output, the first that applies."""
    got, want = seen.got, seen.want
    if got.shape != want.shape or not got.size:
        return []
    with np.errstate(all="ignore"):
        return next(([sentence] for look in _LOOKS for sentence in look(seen)), [])


def poison(dtype: Any) -> Any:
    """The NaN that outputs of this float dtype are filled with, for rows that a spec fills itself."""
    made = np.dtype(dtype)
    return np.array(NAN_BITS[made.itemsize], f"u{made.itemsize}").view(made)[()]


def untouched(values: np.ndarray) -> np.ndarray:
    """Which elements hold the poison that they were filled with."""
    bits = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").reshape(values.shape)
    if values.dtype.kind == "f":  # of either sign: a spec may negate what it fills in
        return bits & ((1 << 8 * values.dtype.itemsize - 1) - 1) == NAN_BITS[values.dtype.itemsize]
    return bits == int.from_bytes(bytes([POISON]) * values.dtype.itemsize, "little")


def _holes(seen: Seen) -> Iterator[str]:
    mask: np.ndarray = untouched(seen.got) & ~untouched(seen.want)
    if not mask.any():
        return
    if mask.all():
        yield NOTHING
    rows, columns = np.array(_rows(mask).all(axis=1)), np.array(_rows(mask).all(axis=0))
    if _suffix(rows) and rows.any() and (_rows(mask).sum() == rows.sum() * columns.size) and rows.size > 1:
        yield f"row {int(np.argmax(rows))} and up untouched: tail threads, or too few of them?"
    whole = _rows(mask).sum() == columns.sum() * rows.size and mask.ndim > 1
    if mask.ndim > 1 and _suffix(columns) and columns.any() and columns.size > 1 and whole:
        yield f"column {int(np.argmax(columns))} and up of every row untouched: does the loop over the columns end too early?"
    if _suffix(mask.reshape(-1)):
        yield f"element {int(np.argmax(mask))} and up untouched: tail threads, or too few of them?"
    yield f"{int(mask.sum())} of {mask.size} elements untouched, the first at {_index(int(np.argmax(mask)), mask.shape)}"


def _nans(seen: Seen) -> Iterator[str]:
    mask = ~np.isfinite(seen.got.astype(np.float64)) & ~untouched(seen.got)
    if mask.any():
        where = _index(int(np.argmax(mask)), mask.shape)
        yield f"the kernel computed NaN or ∞ for {int(mask.sum())} of {mask.size} elements, the first at {where}"


def _zeros(seen: Seen) -> Iterator[str]:
    if not (_array(seen.got) != 0).any() and (seen.want != 0).any():
        yield "every element is 0"


def _inputs(seen: Seen) -> Iterator[str]:
    for number, given in enumerate(seen.inputs or []):
        if given.size == seen.got.size and alike(given.reshape(seen.got.shape), seen.got):
            yield f"the output equals input {number}, unchanged"


def _rows_of_one(seen: Seen) -> Iterator[str]:
    got, want = _rows(seen.got), _rows(seen.want)
    if len(got) > 1 and alike(got, np.broadcast_to(want[:1], got.shape)):
        yield "every row is row 0's result: is the row's number used?"


def _order(seen: Seen) -> Iterator[str]:
    got, want = seen.got, seen.want
    for axis in range(want.ndim):
        if want.shape[axis] > 2:
            for by in (1, -1):
                moved = np.roll(want, by, axis)
                keep = [slice(None)] * want.ndim
                keep[axis] = slice(1, None) if by == 1 else slice(None, -1)
                if alike(got[tuple(keep)], moved[tuple(keep)]):
                    yield f"as expected, but shifted by one along axis {axis}: an index that is off by one?"
    if want.ndim == 2 and min(want.shape) > 1 and alike(got, np.ascontiguousarray(want.T).reshape(want.shape)):
        yield "as expected, but transposed: rows and columns swapped?"
    if want.size > 2 and alike(got.reshape(-1)[::-1], want.reshape(-1)):
        yield "as expected, but in reverse order"
    if want.dtype.kind in "iu" and want.size > 1 and (np.sort(_rows(got), axis=1) == np.sort(_rows(want), axis=1)).all():
        yield "the right values in another order"


def _groups(seen: Seen) -> Iterator[str]:
    """Right in threadgroup 0 and wrong in all others: a position in the threadgroup taken for one in the grid."""
    if not seen.width:
        return
    flat = ~_close(seen.got, seen.want).reshape(-1)
    first = int(np.argmax(flat))
    if first == seen.width and flat[first:].mean() > 0.5:
        yield f"correct until element {first}, the first of threadgroup 1: a global or a local index?"
    wrong = np.array(_rows(flat.reshape(seen.got.shape)).any(axis=1))
    row = int(np.argmax(wrong))
    if wrong.size > 1 and row > 0 and row in (seen.width // 32, seen.width, 1) and wrong[row:].mean() > 0.5:
        yield f"correct until row {row}" + (", the first of threadgroup 1: a global or a local index?" if row > 1 else "")


def _factors(seen: Seen) -> Iterator[str]:
    if seen.want.dtype.kind != "f" or not np.isfinite(seen.got).all():
        return
    got, want = (_rows(a).astype(np.float64) for a in (seen.got, seen.want))
    big = np.abs(want) > 1e-3 * np.abs(want).max()
    if big.sum() < 2:
        return
    ratio = np.where(big, got / want, np.nan)
    middle = float(np.nanmedian(ratio))
    if np.nanmax(np.abs(ratio - middle)) <= 1e-3 * abs(middle) and abs(middle - 1) > 1e-3:
        opposite = abs(middle + 1) < 1e-3
        yield "as expected, but with the other sign" if opposite else f"every element is {middle:.6g} times what it should be"
    apart = got - want
    if np.ptp(apart) <= 1e-3 * np.abs(apart).max():
        yield f"every element is off by the same {float(apart.mean()):.6g}"
    if got.shape[0] > 1 and got.shape[1] > 1:
        ratio = ratio[big.any(axis=1)]  # a row of nothing but small numbers says nothing
        rows = np.nanmedian(ratio, axis=1, keepdims=True)
        if len(rows) > 1 and np.nanmax(np.abs(ratio - rows) - 1e-3 * np.abs(rows)) <= 0:
            yield "each row is off by a factor of its own: what does a row's result depend on that the others' does not?"


def _rounding(seen: Seen) -> Iterator[str]:
    if seen.want.dtype.kind == "f" and np.isfinite(seen.got).all():
        error = np.abs(seen.got.astype(np.float64) - seen.want) / np.abs(seen.want).max()
        if error.max() < 2e-3:
            most = f"at most {error.max():.1e} of the largest element"
            yield f"off by rounding only, {most}: is something kept or added up as half?"


_LOOKS = (_holes, _nans, _zeros, _inputs, _rows_of_one, _order, _rounding, _factors, _groups)


def _close(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind != "f":
        return a == b
    return np.isclose(a.astype(np.float64), b.astype(np.float64), rtol=1e-3, atol=1e-6 * float(np.abs(b).max()))


def _suffix(mask: np.ndarray) -> bool:
    """Whether everything after the first True is True."""
    return bool(mask[int(np.argmax(mask)) :].all())


def _rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _index(flat: int, shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(int(i)) for i in np.unravel_index(flat, shape)) + "]" if shape else "the only element"
