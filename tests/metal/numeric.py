"""For the tests of the library's functions: inputs that bite, one kernel for many expressions, and a judge that knows ulps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BITS = {np.float32: np.uint32, np.float16: np.uint16}


def hard(dtype, size: int, seed: int = 0) -> np.ndarray:
    """Zeros, subnormals, the largest, where functions turn, overflow or vanish, with their neighbours; then random bits."""
    info, rng = np.finfo(dtype), np.random.default_rng(seed)
    turns = [k * np.pi / 2 for k in (*range(-9, 10), 100, 10**5)] + [k / 2 for k in range(-9, 10)] + [1e4, 2.0**15]
    # exp, exp2, exp10 overflow and vanish here: in float, in half
    ends = np.array([88.722, -87.336, -103.97, 128, -126, -149.5, 38.53, -37.9, -45, 11.09, -16.6, 15.99, 4.816, -7.2])
    with np.errstate(over="ignore"):
        turns = np.concatenate([turns, ends, -ends]).astype(dtype)
        edges = np.array([0, info.smallest_subnormal, info.tiny, info.max, np.inf, 2.0**20, 1e10, 1e22], dtype)
        edges = np.concatenate([edges, np.nextafter(edges[1:4], dtype(0))])
        near = np.concatenate([turns, np.nextafter(turns, dtype(np.inf)), np.nextafter(turns, dtype(-np.inf))])
    fixed = np.concatenate([edges, -edges, np.array([np.nan], dtype), near])
    some = rng.integers(0, 1 << 8 * dtype().nbytes, size, dtype=BITS[dtype]).view(dtype)
    some[::2] = rng.uniform(-10, 10, size)[::2]
    return np.concatenate([rng.permutation(fixed), some])[:size]


def program(kind: str, lanes: int, space: str, expressions, inputs: str, n: int = 1, before: str = "") -> str:
    """A kernel f that puts the value of each expression over `n` vectors T (x, y, z: the inputs) into a row of its own.

    `$` stands for the namespace. An expression may leave something for the next one in `w` (a T) and `e` (an I: an int, or ints).
    """
    vector, ints = (f"{kind}{lanes}", f"int{lanes}") if lanes > 1 else (kind, "int")
    rows = "\n".join(f"r = {text.replace('$', space)}; out[{row} * {n} + i] = r;" for row, text in enumerate(expressions))
    return f"""
    typedef {vector} T;
    typedef {ints} I;
    kernel void f({"".join(f"device const T *in_{v}, " for v in inputs)}device T *out, uint i [[thread_position_in_grid]]) {{
        if (i >= {n}) return;
        T r, w, {", ".join(f"{v} = in_{v}[i]" for v in inputs)};
        I e;
        {before}
        {rows}
    }}
    """


def evaluate(run, kind: str, lanes: int, space: str, expressions, *inputs: np.ndarray, before: str = "") -> list[np.ndarray]:
    """The values of each expression of a `program`, taking `lanes` numbers of each input at a time."""
    n, dtype, stride = inputs[0].size // lanes, inputs[0].dtype, 4 if lanes == 3 else lanes
    source = program(kind, lanes, space, expressions, "xyz"[: len(inputs)], n, before)
    padded = [np.pad(a.reshape(n, lanes), ((0, 0), (0, stride - lanes)), mode="edge") for a in inputs]
    poison = np.frombuffer(
        (b"\xff" if dtype.kind == "f" else b"\xcd") * (len(expressions) * n * stride * dtype.itemsize), dtype
    )
    out = run(source, n, *padded, poison)[-1].reshape(len(expressions), n, stride)
    return list(out[..., :lanes].reshape(len(expressions), -1))


def judge(name: str, got: np.ndarray, exact_of: Callable, bound, *inputs: np.ndarray, nonfinite: bool) -> None:
    """`got` is within `bound` (ulps, or a function of the ulp and the inputs) of what `exact_of` says in float64.

    By section 8.5 a subnormal number may count as zero, as an input and as a result. Without `nonfinite`, whatever has NaN or
    infinity in it is undefined. Where `exact_of` gives a masked array, masked results are undefined.
    """
    info, good = np.finfo(got.dtype), np.zeros(got.shape, bool)
    tiny, most = float(info.tiny), float(info.max)
    with np.errstate(invalid="ignore"):  # signalling NaNs among the random bits
        x = [a.astype(np.float64) for a in inputs]
    flushed = [np.where(np.abs(a) < tiny, np.copysign(0, a), a) for a in x]
    for v in (x, flushed):
        with np.errstate(all="ignore"):
            exact = exact_of(*v)
            good |= np.ma.getmaskarray(exact)
            exact = np.asarray(np.ma.getdata(exact), np.float64)
            ulp = np.ldexp(1.0, np.maximum(np.frexp(exact)[1] - 1, info.minexp) - info.nmant)
            allowed = bound(ulp, *v) if callable(bound) else bound * ulp
            good |= (np.abs(got - exact) <= allowed) | (got == exact) | (np.isnan(got) & np.isnan(exact)) | (allowed == np.inf)
            good |= (np.abs(exact) < tiny) & (got == 0)
            good |= (np.abs(exact) > most) & (got == np.copysign(np.inf, exact))
            if not nonfinite:
                good |= ~(np.abs(exact) <= most) | ~np.all(np.isfinite(v), axis=0)
    if not good.all():
        i = np.flatnonzero(~good)[0]
        given = ", ".join(repr(a[i]) for a in inputs)
        raise AssertionError(f"{name} of {given}: got {got[i]!r}; {(~good).sum()} of {good.size} are wrong")
