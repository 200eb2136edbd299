"""The spec of dequantize. Source: ggml's block formats (ggml/src/ggml-common.h), as the `gguf` package reads them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m1.dequantize import KINDS, Dequantize
from milestones.m1.golden.make import HALVES, SCALES
from reference.compare import assert_same
from reference.dequantize import dequantize
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.dequantize import MISTAKES
from reference.symptoms import identical

SIZES = {kind: [1, 31, 32, 33, 511, 513, 16411] for kind in ("F32", "F16", "BF16")}
SIZES |= {
    kind: [32 * n for n in (1, 15, 16, 17, 31, 33, 509)] for kind in ("Q8_0", "Q4_0", "Q4_1")
}  # blocks; a SIMD-group takes 16
CASES = [pytest.param(kind, n, id=f"{kind}-{n}") for kind, sizes in SIZES.items() for n in sizes]


@watched("dequantize")
def run(gpu, raw, kind, shape):
    """The values; the memory after them, where an unguarded tail would land, must be as poisoned as before."""
    count = math.prod(shape)
    room = gpu.empty((count + 4096,))
    y = Dequantize(gpu)(gpu.tensor(raw), kind, shape, Tensor(room.buffer, shape, room.dtype))
    gpu.sync()
    assert np.isnan(room.numpy()[count:]).all(), "values past the last were written: is the tail sent home?"
    return y.numpy()


def oracle(raw, kind):
    """What the `gguf` package makes of the bytes: equal bit for bit, because a product of a scale and a number never rounds."""
    return quants.dequantize(raw, GGMLQuantizationType[kind])


expected = oracle  # under the name that a failure's report takes its "why this bound" from


def some_bytes(seed, kind, n, scales=HALVES):
    """Bytes of n values: random quants, the scales random finite halves with zeros, subnormals and the largest among them."""
    rng = np.random.default_rng(seed)
    if kind == "F32":
        return (rng.standard_normal(n) * 10.0 ** rng.integers(-30, 30, n)).astype(np.float32).view(np.uint8)
    halves = rng.integers(0, 0x7C00, (n, 2)).astype(np.uint16) | rng.integers(0, 2, (n, 2)).astype(np.uint16) << 15
    halves[3::7] = rng.choice(scales, halves[3::7].shape)
    if kind == "F16":
        return np.ascontiguousarray(halves[:, 0]).view(np.uint8)
    if kind == "BF16":  # the upper halves of floats
        return np.ascontiguousarray(some_bytes(seed, "F32", n).view(np.uint16)[1::2]).view(np.uint8)
    size, used = KINDS[kind][1], SCALES[kind]
    blocks = rng.integers(0, 256, (n // 32, size), np.uint8)
    blocks[:, : 2 * used] = np.ascontiguousarray(halves[: n // 32, :used]).view(np.uint8)
    return blocks.reshape(-1)


def test_a_q4_1_block_worked_by_hand(gpu):
    """d = 0.5, m = −1; byte i holds i in its low and 15 − i in its high nibble: low nibbles first, then the high ones."""
    raw = np.uint8([0x00, 0x38, 0x00, 0xBC, *(i | (15 - i) << 4 for i in range(16))])
    low = [0.5 * i - 1 for i in range(16)]
    assert_same(run(gpu, raw, "Q4_1", (32,)), np.float32(low + low[::-1]))


def test_a_q4_0_block_worked_by_hand(gpu):
    """d = −0.5; the nibbles count from −8: byte i holds i in its low and 15 − i in its high nibble."""
    raw = np.uint8([0x00, 0xB8, *(i | (15 - i) << 4 for i in range(16))])
    low = [-0.5 * (i - 8) for i in range(16)]
    assert_same(run(gpu, raw, "Q4_0", (32,)), np.float32([*low[:8], -0.0, *low[9:], *low[:8:-1], -0.0, *low[7::-1]]))


def test_bf16_worked_by_hand(gpu):
    """The upper half of a float: 0x3FC0 is 1.5, 0x8001 a subnormal."""
    assert_same(
        run(gpu, np.uint8([0xC0, 0x3F, 0x01, 0x80]), "BF16", (2,)), np.uint32([0x3FC00000, 0x80010000]).view(np.float32)
    )


def test_a_q8_0_block_worked_by_hand(gpu):
    """d = −2; the bytes are signed: 0x80 is −128, 0xFF is −1."""
    raw = np.uint8([0x00, 0xC0, 0x80, 0xFF, 0x7F, *range(29)])
    assert_same(run(gpu, raw, "Q8_0", (1, 32)), np.float32([[256, 2, -254, *(-2.0 * i for i in range(29))]]))


def test_f16_worked_by_hand(gpu):
    """0x3C00 is 1, 0x8001 the smallest negative half, a subnormal."""
    assert_same(run(gpu, np.uint8([0x00, 0x3C, 0x01, 0x80]), "F16", (2,)), np.float32([1, -(2.0**-24)]))


def test_f32_worked_by_hand(gpu):
    """0x3F800000 is 1; a tensor without dimensions is one value."""
    assert_same(run(gpu, np.uint8([0, 0, 0x80, 0x3F]), "F32", ()), np.float32(1).reshape(()))


@pytest.mark.parametrize(("kind", "n"), CASES)
def test_equals_gguf_and_the_reference_bit_for_bit(gpu, kind, n):
    """An oracle nobody here wrote; one value, a SIMD-group's 512 and one run more or less, several threadgroups'."""
    raw = some_bytes(n, kind, n)
    expected = oracle(raw, kind)
    assert_same(dequantize(torch.from_numpy(raw), kind), expected, what="reference")
    assert np.count_nonzero(expected) > n // 3, "the expected output must not be trivial"
    assert_same(run(gpu, raw, kind, (n,)), expected)


@given(
    kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32 - 1), runs=st.integers(1, 80), width=st.sampled_from(WIDTHS)
)
@example(kind="Q4_1", seed=0, runs=17, width=32)
@example(kind="Q8_0", seed=0, runs=16, width=1024)
@examples(25)
def test_equals_gguf_for_any_bytes_size_and_width(gpus, kind, seed, runs, width):
    """A model file may hold any numbers, and the device choose any width."""
    n = runs * 32 if KINDS[kind][0] == 32 else runs * 19
    raw = some_bytes(seed, kind, n)
    assert_same(run(gpus(width), raw, kind, (n,)), oracle(raw, kind))


@pytest.mark.parametrize("kind", SCALES)
def test_every_odd_scale_with_every_odd_minimum(gpus, kind):
    """Zeros of both signs, subnormals, the smallest normal, the largest, negatives. A fused d·q + m rounds the same sum once
    as a separate one does, because d·q is exact; this input would show it if it were not."""
    pairs = np.stack(np.meshgrid(HALVES, HALVES), -1).reshape(-1, 2)
    rng, (_, size), used = np.random.default_rng(5), KINDS[kind], SCALES[kind]
    blocks = rng.integers(0, 256, (len(pairs), size), np.uint8)
    blocks[:, : 2 * used] = np.ascontiguousarray(pairs[:, :used]).view(np.uint8)
    expected = oracle(blocks.reshape(-1), kind)
    assert_same(run(gpus(256), blocks.reshape(-1), kind, expected.shape), expected)


def test_every_half_is_read_right(gpus):
    """All 65,536 of them: subnormals survive fast math, infinities stay, a NaN keeps its bits (but for the quiet one)."""
    raw = np.arange(1 << 16, dtype=np.uint16).view(np.uint8)
    expected, got = oracle(raw, "F16"), run(gpus(448), raw, "F16", (256, 256)).reshape(-1)
    numbers = ~np.isnan(expected)
    assert_same(got[numbers], expected[numbers])
    assert np.isnan(got[~numbers]).all() and (~numbers).sum() == 2 * 1023
    quiet = np.uint32(1 << 22)  # processors set it on the way
    assert_same(got.view(np.uint32)[~numbers] | quiet, expected.view(np.uint32)[~numbers] | quiet)


def test_every_bf16_is_copied_bit_for_bit(gpus):
    """All 65,536 of them, subnormals and NaNs too: whole numbers go through unchanged."""
    raw = np.arange(1 << 16, dtype=np.uint16)
    got = run(gpus(448), raw.view(np.uint8), "BF16", (256, 256)).reshape(-1)
    assert_same(got.view(np.uint32), raw.astype(np.uint32) << 16)


def test_f32_is_copied_bit_for_bit(gpus):
    """Subnormals, −0, infinities and NaN payloads: fast math may change a float on its way, not a whole number."""
    bits = np.uint32([0, 0x80000000, 1, 0x807FFFFF, 0x7F800000, 0xFF800000, 0x7FC00001, 0x7F800001, 0x3F800000] * 5)
    assert_same(run(gpus(256), bits.view(np.uint8), "F32", (45,)), bits.view(np.float32))


@pytest.mark.parametrize("kind", ["F16", "BF16", *SCALES])
def test_equals_the_golden_fixture(gpus, kind):
    """Made once by the gguf package, of blocks whose scales it chose itself (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "dequantize")
    raw, values = golden[f"{kind}_raw"], golden[f"{kind}_values"]
    assert_same(run(gpus(832), raw.reshape(-1), kind, values.shape), values)


@pytest.mark.parametrize(("kind", "n"), [("F32", 33), ("F16", 33), ("BF16", 33), ("Q8_0", 96), ("Q4_0", 96), ("Q4_1", 96)])
def test_writes_nothing_past_its_values(gpus, kind, n):
    """A SIMD-group has room for 512 values and a threadgroup for 16,384: most of them are not there, to read or to write."""
    raw = some_bytes(1, kind, n)
    assert_same(run(gpus(1024), raw, kind, (n,)), oracle(raw, kind))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_seen_with_these_inputs(mistake):
    """Of the bytes that the other tests take, each mistake that is possible for a kind makes something else."""
    seen = 0
    for kind in KINDS:
        raw = np.arange(1 << 16, dtype=np.uint16).view(np.uint8) if kind == "F16" else some_bytes(1, kind, 4096)
        expected = oracle(raw, kind)
        try:
            with np.errstate(all="ignore"):
                wrong = MISTAKES[mistake](raw, kind, expected.shape)
        except KeyError:  # a mistake of other kinds
            continue
        assert not identical(wrong, expected), f"these {kind} bytes do not tell"
        seen += 1
    assert seen, "a mistake of no kind at all"


@pytest.mark.parametrize(
    ("nbytes", "kind", "shape", "message"),
    [
        (36, "Q4_K", (32,), "kind must be one of F32, F16, BF16, Q8_0, Q4_0, Q4_1"),
        (19, "Q4_1", (32,), "is 20 bytes, raw has 19"),
        (68, "Q8_0", (32,), "is 34 bytes, raw has 68"),
        (40, "Q4_1", (4, 16), "not whole Q4_1 blocks of 32"),
        (4, "F32", (0, 4), "no elements"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, nbytes, kind, shape, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Dequantize(gpu)(gpu.empty((nbytes,), np.uint8), kind, shape)


def test_a_wrong_dtype_or_out_is_named_before_launch(gpus):
    gpu = gpus(256)
    with pytest.raises(ValueError, match="raw must be uint8"):
        Dequantize(gpu)(gpu.empty((8,)), "F32", (8,))
    for out, message in ((gpu.empty((4,)), "out has shape"), (gpu.empty((8,), np.uint32), "out must be float32")):
        with pytest.raises(ValueError, match=message):
            Dequantize(gpu)(gpu.empty((32,), np.uint8), "F32", (8,), out)
