"""The spec of kv_store. Source: the cache's contract: new rows land where the position says, bit for bit, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m4.kv_store import KvStore
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.kv_store import kv_store
from reference.mistakes import halves as wrong_halves
from reference.mistakes.kv_store import MISTAKES
from reference.symptoms import poison


def random_bits(rng, shape):
    """Any bits at all: subnormals, −0, NaNs with payloads must come through a store unchanged."""
    return rng.integers(0, 2**32, shape, dtype=np.uint32).view(np.float32)


@watched("kv_store")
def run(gpu, k, v, cache_k, cache_v, position):
    """Both caches after the store; they are float32 or float16, and start with what is given."""
    on_device = [gpu.tensor(a) for a in (k, v, cache_k, cache_v)]
    KvStore(gpu)(*on_device, position=position)
    gpu.sync()
    return on_device[2].numpy(), on_device[3].numpy()


def expected(rows, cache, position):
    """A store computes nothing, so nothing may differ by a bit; what was in the other rows must still be there.

    By the reference on the bits, as integers: torch may not keep a NaN's payload otherwise.
    """
    bits = [torch.from_numpy(np.ascontiguousarray(a).view(np.int32)) for a in (rows, cache)]
    return kv_store(*bits, position).numpy().view(np.float32)


def assert_stored(got, wanted, position, tokens, what):
    """The new rows first: before the store they held poison, which tells a kernel that wrote nothing from one that erred."""
    new = slice(position, position + tokens)
    assert_same(got[new], wanted[new], what=f"the new rows of {what}")
    assert_same(got, wanted, what=f"the whole of {what}")


def check(gpu, seed, tokens, heads, d, capacity, position):
    rng = np.random.default_rng(seed)
    k, v = (random_bits(rng, (tokens, heads, d)) for _ in "kv")
    cache_k, cache_v = (random_bits(rng, (capacity, heads, d)) for _ in "kv")
    cache_k[position : position + tokens] = cache_v[position : position + tokens] = poison(np.float32)
    got_k, got_v = run(gpu, k, v, cache_k, cache_v, position)
    assert_stored(got_k, expected(k, cache_k, position), position, tokens, "cache_k")
    assert_stored(got_v, expected(v, cache_v, position), position, tokens, "cache_v")


def test_two_rows_worked_by_hand(gpu):
    """Two tokens at position 1 of a cache of four rows: rows 1 and 2 are new, rows 0 and 3 as they were."""
    k, v = np.float32([[[1, 2]], [[3, 4]]]), np.float32([[[5, 6]], [[7, 8]]])
    held = np.full((4, 1, 2), -1, np.float32)
    held[1:3] = poison(np.float32)
    got_k, got_v = run(gpu, k, v, held, held * 2, 1)
    assert_stored(got_k, np.float32([[[-1, -1]], [[1, 2]], [[3, 4]], [[-1, -1]]]), 1, 2, "cache_k")
    assert_stored(got_v, np.float32([[[-2, -2]], [[5, 6]], [[7, 8]], [[-2, -2]]]), 1, 2, "cache_v")


@pytest.mark.parametrize(
    ("tokens", "heads", "d", "capacity", "position"),
    [(1, 3, 64, 1, 0), (1, 3, 64, 40, 39), (33, 3, 64, 64, 31), (31, 1, 33, 31, 0), (32, 2, 31, 97, 17)],
    ids=str,
)
def test_equals_the_reference(gpu, tokens, heads, d, capacity, position):
    """The first row, the last row, the whole cache, and sizes beside a SIMD-group's 32 lanes; any bits, NaNs too."""
    check(gpu, tokens, tokens, heads, d, capacity, position)


def test_equals_the_golden_fixture(gpu):
    """An oracle nobody here wrote: torch's index_copy."""
    golden = load(Path(__file__).parent / "golden", "kv_store")
    rows, cache, position = golden["rows"], golden["cache"], int(golden["position"])
    cache[position : position + len(rows)] = poison(np.float32)
    got_k, got_v = run(gpu, rows, -rows, cache, -cache, position)
    assert_stored(got_k, golden["stored"], position, len(rows), "cache_k")
    assert_stored(got_v, -golden["stored"], position, len(rows), "cache_v")


@examples(40)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 40),
    heads=st.integers(1, 4),
    d=st.integers(1, 40),
    before=st.integers(0, 20),
    after=st.integers(0, 20),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, tokens=1, heads=1, d=1, before=0, after=0, width=1024)
def test_equals_the_reference_for_any_shape_place_and_width(gpus, seed, tokens, heads, d, before, after, width):
    """The dispatch is rounded up to whole threadgroups: at some width most threads have nothing to store, and must not."""
    check(gpus(width), seed, tokens, heads, d, before + tokens + after, before)


@watched("halves")
def halves(gpu, values):
    """What a cache of halves holds of these float32 values, as bits; k and v alike."""
    rows = np.ascontiguousarray(values, np.float32).reshape(-1, 1, 1)
    nobodys = np.full(rows.shape, 0xCDCD, np.uint16).view(np.float16)  # poison for bits
    got_k, got_v = run.__wrapped__(gpu, rows, rows, nobodys, nobodys, 0)  # what is watched is this function
    assert_same(got_v, got_k, what="cache_v beside cache_k, from the same rows")
    return got_k.reshape(-1).view(np.uint16)


def numpys_halves(values):
    """The oracle: NumPy's conversion, and its infinities made the largest half; as bits."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(values, np.float32).astype(np.float16)
    return np.where(np.isinf(rounded), np.copysign(np.float16(65504), rounded), rounded).view(np.uint16)


BITE = [1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-20, 65519.9, 65520, 1e30, -np.inf, 2**-25, 2**-24, -3 * 2**-26, -0.0]
FOUND = [1, 1 + 2**-9, 1 + 2**-10, 65504, 65504, 65504, -65504, 0, 2**-24, -(2**-24), -0.0]


def test_halves_worked_by_hand(gpu):
    """Ties go to the even mantissa; what is too large becomes the largest; half of the smallest subnormal ties to 0."""
    assert_same(halves(gpu, BITE), np.float16(FOUND).view(np.uint16))


def test_every_half_comes_back_as_it_was(gpus):
    """All 65,536, but for infinities, which saturate; NaNs are quiet, and keep their sign and the rest of their bits."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    got, nan = halves(gpus(256), every.astype(np.float32)), np.isnan(every)
    numbers = np.where(np.isinf(every), np.copysign(np.float16(65504), every), every)
    assert_same(got, np.where(nan, every.view(np.uint16) | np.uint16(0x0200), numbers.view(np.uint16)))


def test_a_nan_whose_low_bits_alone_say_so_does_not_become_a_number(gpu):
    """Bits 7F800001 are infinity's but for the last: what is cut off must not turn a NaN into infinity, or into 65504."""
    bits = np.uint32([0x7F800001, 0xFF800001, 0x7F801FFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800000, 0xFF800000])
    found = np.uint16([0x7E00, 0xFE00, 0x7E00, 0x7FFF, 0xFFFF, 0x7BFF, 0xFBFF])
    assert_same(halves(gpu, bits.view(np.float32)), found)


def test_every_float_beside_a_rounding_boundary_equals_numpy(gpus):
    """The middle between each half and the next, and the floats just below and above it: 190,000 of them, subnormals too."""
    lower = np.arange(0x7BFF, dtype=np.uint16)
    middle = (lower.view(np.float16).astype(np.float32) + (lower + 1).view(np.float16).astype(np.float32)) / 2
    values = np.concatenate([np.nextafter(middle, np.float32(0)), middle, np.nextafter(middle, np.float32(np.inf))])
    values = np.concatenate([values, -values])
    assert_same(halves(gpus(448), values), numpys_halves(values))


@examples(60)
@given(
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=True, allow_subnormal=True), min_size=1, max_size=40),
    width=st.sampled_from(WIDTHS),
)
@example(values=[3.4028234663852886e38, -1e-45, 2.0**-14, 2.0**-14 - 2.0**-26], width=32)
def test_any_float_is_rounded_as_numpy_rounds_it(gpus, values, width):
    """An oracle nobody here wrote: NumPy's own conversion, for floats of every size, subnormal and infinite ones among them."""
    assert_same(halves(gpus(width), values), numpys_halves(values))


@pytest.mark.parametrize("position", [0, 17, 63], ids="position{}".format)
def test_halves_land_where_the_position_says_and_nowhere_else(gpu, position):
    """The cache's rows are of halves, those of k and v of floats: an index counted in bytes, or in floats, goes astray here."""
    rng = np.random.default_rng(position)
    k, v = (rng.standard_normal((33, 3, 21)).astype(np.float32) for _ in "kv")
    before = rng.standard_normal((2, 96, 3, 21)).astype(np.float16)
    before[:, position : position + 33] = poison(np.float16)
    for name, got, rows, held in zip("kv", run(gpu, k, v, *before, position), (k, v), before, strict=True):
        stored = kv_store(torch.from_numpy(rows), torch.from_numpy(held), position)
        assert_stored(got, stored.numpy(), position, 33, f"cache_{name}")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_later_store_replaces_an_earlier_one(gpus, dtype):
    """After a rewind the next tokens stand where forgotten ones stood: their rows are written over, not added to."""
    rng, gpu = np.random.default_rng(5), gpus(64)
    first, second = (rng.standard_normal((2, 4, 2, 9)).astype(np.float32) for _ in range(2))
    caches = [gpu.empty((6, 2, 9), dtype) for _ in "kv"]
    for rows, position in ((first, 0), (second, 1)):
        KvStore(gpu)(*map(gpu.tensor, rows), *caches, position=position)
    gpu.sync()
    for cache, old, new in zip(caches, first, second, strict=True):
        assert_same(cache.numpy()[:5], np.concatenate([old[:1], new]).astype(dtype))
        assert np.isnan(cache.numpy()[5:]).all(), "row 5 was never stored"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_known_mistake_gives_another_result(mistake):
    """Inputs on which a usual mistake makes no difference would prove nothing."""
    rng = np.random.default_rng(8)
    k, v = (rng.standard_normal((3, 2, 5)).astype(np.float32) for _ in "kv")
    held = rng.standard_normal((2, 9, 2, 5)).astype(np.float32)
    right = [expected(new, old, 4) for new, old in zip((k, v), held, strict=True)]
    assert any((a != b).any() for a, b in zip(MISTAKES[mistake](k, v, *held, 4), right, strict=True))


@pytest.mark.parametrize("mistake", wrong_halves.MISTAKES)
def test_a_known_mistake_gives_other_halves(mistake):
    """And one of rounding, on the floats of the example worked by hand."""
    assert (wrong_halves.MISTAKES[mistake](BITE) != np.float16(FOUND).view(np.uint16)).any()


def test_caches_of_another_or_of_two_dtypes_are_named(gpus):
    gpu = gpus(32)
    k = gpu.empty((1, 1, 4))
    for dtypes, message in ((("float64",) * 2, "must be float32 or float16"), (("float16", "float32"), "cache_v is float32")):
        with pytest.raises(ValueError, match=message):
            KvStore(gpu)(k, k, *(gpu.empty((2, 1, 4), dtype) for dtype in dtypes), position=0)


@pytest.mark.parametrize(
    ("k", "v", "cache", "position", "message"),
    [
        ((2, 3, 4), (2, 3, 4), (9, 3, 4), 8, "2 tokens at position 8 do not fit into a cache of 9 rows"),
        ((2, 3, 4), (2, 3, 4), (9, 3, 4), -1, "cannot store 2 tokens at position -1"),
        ((2, 3, 4), (2, 3, 5), (9, 3, 4), 0, r"k has shape \(2, 3, 4\), v has"),
        ((2, 3, 4), (2, 3, 4), (9, 3, 5), 0, r"rows of the cache are \(3, 5\), rows of k \(3, 4\)"),
        ((2, 12), (2, 12), (9, 12), 0, "three dimensions"),
    ],
)
def test_a_misfit_is_named_and_nothing_is_written(gpus, k, v, cache, position, message):
    gpu = gpus(256)
    cache_k, cache_v = gpu.empty(cache), gpu.empty(cache)
    before = cache_k.numpy().copy()
    with pytest.raises(ValueError, match=message):
        KvStore(gpu)(gpu.empty(k), gpu.empty(v), cache_k, cache_v, position=position)
    gpu.sync()
    assert_same(cache_k.numpy(), before)
