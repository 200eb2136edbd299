"""<metal_integer>: every function on every integer type and width, against Python's integers, which never overflow."""

from __future__ import annotations

import numpy as np
import pytest

import metal
from conftest import one_in
from metal.portable.frontend import check
from metal.portable.translate import lower
from tests.metal.conftest import HEAD
from tests.metal.numeric import evaluate, program

KINDS = {"char": np.int8, "uchar": np.uint8, "short": np.int16, "ushort": np.uint16,
         "int": np.int32, "uint": np.uint32, "long": np.int64, "ulong": np.uint64}  # fmt: skip


class Type:
    """What the references need to know: the width, the least and the greatest, and how a number wraps and saturates."""

    def __init__(self, kind: str):
        info = np.iinfo(KINDS[kind])
        self.width, self.least, self.most = info.bits, int(info.min), int(info.max)

    def wrap(self, v: int) -> int:
        return (v - self.least) % (1 << self.width) + self.least

    def saturate(self, v: int) -> int:
        return min(max(v, self.least), self.most)

    def bits(self, v: int) -> str:
        return format(v % (1 << self.width), f"0{self.width}b")

    def rotated(self, v: int, by: int) -> int:
        by %= self.width
        return self.wrap(int(self.bits(v)[by:] + self.bits(v)[:by], 2))

    def extracted(self, v: int, offset: int, bits: int) -> int:
        field = (v >> offset) & ((1 << bits) - 1)
        return field - (1 << bits) if self.least and bits and field >> (bits - 1) else field

    def inserted(self, base: int, v: int, offset: int, bits: int) -> int:
        field = ((1 << bits) - 1) << offset
        return self.wrap((base & ~field) | ((v << offset) & field))


# expression → what it is, of the type t, three numbers, an offset o and a number of bits b with o + b <= the width
FUNCTIONS = {
    "abs(x)": lambda t, x, y, z, o, b: t.wrap(abs(x)),
    "as_type<T>(absdiff(x, y))": lambda t, x, y, z, o, b: t.wrap(abs(x - y)),  # of the unsigned type
    "addsat(x, y)": lambda t, x, y, z, o, b: t.saturate(x + y),
    "clamp(x, min(y, z), max(y, z))": lambda t, x, y, z, o, b: min(max(x, min(y, z)), max(y, z)),
    "clz(x)": lambda t, x, y, z, o, b: (t.bits(x) + "1").index("1"),
    "ctz(x)": lambda t, x, y, z, o, b: (t.bits(x)[::-1] + "1").index("1"),
    "extract_bits(x, o, b)": lambda t, x, y, z, o, b: t.extracted(x, o, b),
    "hadd(x, y)": lambda t, x, y, z, o, b: (x + y) >> 1,
    "insert_bits(x, y, o, b)": lambda t, x, y, z, o, b: t.inserted(x, y, o, b),
    "madhi(x, y, z)": lambda t, x, y, z, o, b: t.wrap((x * y >> t.width) + z),
    "madsat(x, y, z)": lambda t, x, y, z, o, b: t.saturate(x * y + z),
    "max(x, y)": lambda t, x, y, z, o, b: max(x, y),
    "max3(x, y, z)": lambda t, x, y, z, o, b: max(x, y, z),
    "median3(x, y, z)": lambda t, x, y, z, o, b: sorted((x, y, z))[1],
    "min(x, y)": lambda t, x, y, z, o, b: min(x, y),
    "min3(x, y, z)": lambda t, x, y, z, o, b: min(x, y, z),
    "mulhi(x, y)": lambda t, x, y, z, o, b: x * y >> t.width,
    "popcount(x)": lambda t, x, y, z, o, b: t.bits(x).count("1"),
    "reverse_bits(x)": lambda t, x, y, z, o, b: t.wrap(int(t.bits(x)[::-1], 2)),
    "rhadd(x, y)": lambda t, x, y, z, o, b: (x + y + 1) >> 1,
    "rotate(x, y)": lambda t, x, y, z, o, b: t.rotated(x, y),  # negative counts turn the other way
    "subsat(x, y)": lambda t, x, y, z, o, b: t.saturate(x - y),
}
FUNCTIONS_OF_32_BITS = {  # of numbers of 24 bits
    "mul24(x >> 8, y >> 8)": lambda t, x, y, z, o, b: t.wrap((x >> 8) * (y >> 8)),
    "mad24(x >> 8, y >> 8, z)": lambda t, x, y, z, o, b: t.wrap((x >> 8) * (y >> 8) + z),
}


def hard(kind: str, size: int, seed: int) -> np.ndarray:
    """Zeros, ones, both ends and their neighbours, the middle's; then numbers of every length."""
    t, rng = Type(kind), np.random.default_rng(seed)
    middle = 1 << t.width // 2
    fixed = [0, 1, -1, 2, t.least, t.least + 1, t.most, t.most - 1, middle, middle - 1, middle + 1, -middle]
    some = [int(v) >> int(by) for v, by in zip(rng.integers(0, 2**64, size, np.uint64), rng.integers(0, 64, size), strict=True)]
    values = [t.wrap(v) for v in fixed * 8 + some][:size]
    return rng.permutation(np.array(values, KINDS[kind]))


# a compile costs a third of a second: scalars of every type and one width of vectors each are run, all the others are read
RUN = [(kind, lanes) for n, kind in enumerate(KINDS) for lanes in (1, 2 + n % 3)]
READ = [(kind, lanes) for kind in KINDS for lanes in (1, 2, 3, 4) if (kind, lanes) not in RUN]


def table_of(kind: str) -> dict:
    return FUNCTIONS | (FUNCTIONS_OF_32_BITS if Type(kind).width == 32 else {})


@pytest.mark.parametrize("kind, lanes", one_in(3, RUN))
def test_functions_are_exact_at_the_ends_and_between(run, kind, lanes):
    t, size = Type(kind), 12 * 32
    x, y, z = (hard(kind, size, seed) for seed in range(3))
    table = table_of(kind)
    field = f"const uint o = i * 7 % {t.width}, b = i * 5 % ({t.width} - o + 1);"
    thread = [i // lanes for i in range(size)]
    o = [i * 7 % t.width for i in thread]
    b = [i * 5 % (t.width - at + 1) for i, at in zip(thread, o, strict=True)]
    rows = evaluate(run, kind, lanes, "", table, x, y, z, before=field)
    for (name, exact), got in zip(table.items(), rows, strict=True):
        for *given, result in zip(x.tolist(), y.tolist(), z.tolist(), o, b, got.tolist(), strict=True):
            assert result == exact(t, *given), f"{name} in {kind}{lanes} of {given}"


@pytest.mark.parametrize("kind, lanes", READ)
def test_every_function_is_there_for_every_width(kind, lanes):
    check(lower(HEAD + program(kind, lanes, "", table_of(kind), "xyz", before="uint o = 0, b = 0;")))


REFUSED = {
    "24 bits of other widths": "short2 v = mul24(short2(1), short2(2));",
    "a popcount of fractions": "float2 v = popcount(float2(1));",
    "a vector and a vector of another width": "int2 v = max(int2(1), long2(2));",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_metal_lacks_is_refused(name):
    with pytest.raises(metal.error):
        check(lower(f"{HEAD}kernel void f(device float *x [[buffer(0)]]) {{ {REFUSED[name]} }}"))
