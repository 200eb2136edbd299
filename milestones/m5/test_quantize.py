"""The spec of quantize. Source: ggml's block formats (ggml/src/ggml-common.h), as the `gguf` package writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Gpu, Tensor
from milestones.m5.quantize import BYTES, Quantize
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.quantize import MISTAKES
from reference.quantize import quantize
from reference.symptoms import identical

KINDS = sorted(BYTES)
POISON = 0xCD


@watched("quantize")
def run(gpu, x, kind):
    """The bytes; the memory after them, where an unguarded tail would land, must be as poisoned as before."""
    count = x.size // 32 * BYTES[kind]
    room = gpu.empty((count + 4096,), np.uint8)
    out = Quantize(gpu)(gpu.tensor(x), kind, Tensor(room.buffer, (count,), room.dtype))
    gpu.sync()
    assert (room.numpy()[count:] == POISON).all(), "bytes past the last block were written: is the tail sent home?"
    return out.numpy()


def oracle(x, kind):
    with np.errstate(over="ignore"):  # a scale or minimum that no half can hold
        return quants.quantize(x.reshape(-1, 32), GGMLQuantizationType[kind]).reshape(-1)


def expected(x, kind):
    """Equal byte for byte: each operation rounds once, as float32 does without fast math; the rest are whole numbers."""
    return quantize(torch.from_numpy(x), kind).numpy()


def some_floats(seed, blocks):
    """Blocks of odd sizes: outliers, ties, few different numbers, zeros; never zeros of both signs as the smallest."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((blocks, 32)) * 10.0 ** rng.integers(-12, 5, (blocks, 1))).astype(np.float32)
    x[1::7, rng.integers(0, 32)] *= 50
    x[2::7] = rng.integers(-127, 128, x[2::7].shape) * np.float32(0.5)  # Q8_0's ties, if 127 halves are among them
    x[3::7] = np.round(x[3::7]) + 0.0
    x[4::7] = np.abs(x[4::7])
    x[5::7, ::2] = -x[5::7, 1::2]  # the largest size twice, with both signs
    x[6::7, :] *= rng.integers(0, 2, 32)
    return x + np.float32(0)


def at_thresholds(kind):
    """Floats beside those at which a block's number changes to the next."""
    rng = np.random.default_rng(7)
    d = np.exp(rng.uniform(-5, 5, (1500, 1))).astype(np.float32)
    steps = {"Q8_0": 127, "Q4_0": 8, "Q5_0": 16, "Q4_1": 15, "Q5_1": 31}[kind]
    x = d * (rng.integers(-steps, steps, (1500, 32)) + 0.5).astype(np.float32)
    x = np.nextafter(x, np.float32(np.inf) * rng.choice([-1, 1], x.shape).astype(np.float32))
    x[:, 3], x[:, 4] = steps * d[:, 0], (0 if kind in ("Q4_1", "Q5_1") else -0.25) * steps * d[:, 0]
    return x


def with_bad_scales(kind):
    """Blocks whose scales are subnormal halves, ties of the rounding to one, too large for one."""
    odd = [1, 1.5, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-23, 2 - 2**-11, 2 - 2**-12, 2 - 2**-23, 1.25, 1.1, 1.7, 1.9]
    odd.append(2 - 2**-11 - 2**-23)  # times 2^15: the last float that rounds to the largest half
    exponents = np.arange(-34.0, 20.0).repeat(len(odd))[:, None]
    steps = {"Q8_0": 127, "Q4_0": 8, "Q5_0": 16, "Q4_1": 15, "Q5_1": 31}[kind]
    d = np.resize(np.float64(odd), exponents.size)[:, None] * 2.0**exponents
    x = (d * np.random.default_rng(3).integers(-steps, steps, (len(d), 32))).astype(np.float32)
    x[:, 0] = d[:, 0] * steps
    x[::2] *= -1
    x += np.float32(0)
    return x


def at_byte(text):
    """Bytes written in hexadecimal."""
    return np.frombuffer(bytes.fromhex(text), np.uint8)


def test_a_q4_0_block_worked_by_hand(gpu):
    """The largest size is −4, so d = −4 / −8 = 0.5: 0.5 is number 9 (9.5), −4 number 0, 3.3 number 15 (15.1), 0 number 8."""
    x = np.float32([0.5, -4, 3.3, *[0] * 13, -1, *[0] * 15])
    assert_same(run(gpu, x, "Q4_0"), at_byte("0038" + "69" + "80" + "8F" + "88" * 13))


def test_a_q4_0_block_whose_largest_is_positive(gpu):
    """d is negative then, so that the extreme is number 0 and not a number that 4 bits have no room for."""
    x = np.float32([8, -7, *[0] * 30])
    assert_same(run(gpu, x, "Q4_0"), at_byte("00BC" + "80" + "8F" + "88" * 14))


def test_of_two_extremes_the_first_decides(gpu):
    """8 comes before −8: d is −1, 8 is number 0, and −8 would be number 16: it must do with 15."""
    x = np.float32([0, 8, -8, *[0] * 29])
    assert_same(run(gpu, x, "Q4_0"), at_byte("00BC" + "88" + "80" + "8F" + "88" * 13))


def test_a_q4_1_block_worked_by_hand(gpu):
    """From −1 to 6.5: d = 7.5 / 15 = 0.5, m = −1. 0.25 lies in the middle between 2 and 3, and goes up."""
    x = np.float32([-1, 6.5, 0.25, *[0] * 13, 1, *[-1] * 15])
    assert_same(run(gpu, x, "Q4_1"), at_byte("0038" + "00BC" + "40" + "0F" + "03" + "02" * 13))


def test_a_q5_0_block_worked_by_hand(gpu):
    """d = −16 / −16 = 1: −16 is number 0, 15 number 31, 0 number 16. The fifth bits stand together, value i's at bit i."""
    x = np.float32([-16, 15, -1, *[0] * 13, -15, *[0] * 15])
    assert_same(run(gpu, x, "Q5_0"), at_byte("003C" + "FAFFFEFF" + "10" + "0F" + "0F" + "00" * 13))


def test_a_q5_1_block_worked_by_hand(gpu):
    """From 2 to 33: d = 1, m = 2. 18 is number 16, of which only the fifth bit is 1."""
    x = np.float32([2, 33, 18, *[3] * 29])
    assert_same(run(gpu, x, "Q5_1"), at_byte("003C" + "0040" + "06000000" + "10" + "1F" + "10" + "11" * 13))


def test_a_q8_0_block_worked_by_hand(gpu):
    """d = 63.5 / 127 = 0.5. 0.25 is half a step: halves go away from zero, to 1 and to −1; 0.75 to 2; 0.2 to 0."""
    x = np.float32([63.5, -63.5, 0.25, -0.25, 0.75, 0.2, *[-1] * 26])
    assert_same(run(gpu, x, "Q8_0"), at_byte("0038" + "7F81" + "01FF" + "0200" + "FE" * 26))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blocks", [1, 17, 509], ids="blocks{}".format)
def test_equals_gguf_and_the_reference_byte_for_byte(gpu, blocks, kind):
    """An oracle nobody here wrote; a SIMD-group's 16 blocks and one more or less, several threadgroups'."""
    x = some_floats(blocks, blocks)
    assert_same(expected(x, kind), oracle(x, kind), what="reference")
    assert_same(run(gpu, x, kind), oracle(x, kind))


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1), blocks=st.integers(1, 60), width=st.sampled_from(WIDTHS))
@example(kind="Q8_0", seed=0, blocks=17, width=32)
@example(kind="Q5_0", seed=0, blocks=16, width=1024)
@example(kind="Q8_0", seed=24, blocks=24, width=32)
@examples(20)
def test_equals_gguf_for_any_floats_size_and_width(gpus, kind, seed, blocks, width):
    """Random bits as floats, of all sizes at which scales are neither flushed nor infinite."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 1 << 23, (blocks, 32)) | rng.integers(0, 2, (blocks, 32)) << 31
    smaller = rng.integers(0, 1 + rng.integers(0, 30, (blocks, 1)), (blocks, 32))
    smaller[:, 7] = 0  # one is of full size: else a whole block may be so small that its scale is flushed
    exponents = rng.integers(35, 240, (blocks, 1)) - smaller
    x = (bits | exponents << 23).astype(np.uint32).view(np.float32)
    assert_same(run(gpus(width), x, kind), oracle(x, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_one_float_more_or_less_at_every_threshold(gpus, kind):
    """Where a number changes to the next, the last bit of each quotient and product decides: a division that is only nearly
    right, or a product fused with the sum behind it, is wrong on some of these."""
    x = at_thresholds(kind)
    assert_same(run(gpus(256), x, kind), oracle(x, kind))


def test_fast_math_changes_nothing(gpus):
    """As the engine compiles it: checked mode's strict arithmetic would hide a division that fast math makes less exact."""
    gpus(256)  # "not run here" without a device
    fast, x = Gpu(), some_floats(1, 4000)
    for kind in KINDS:
        made = Quantize(fast)(fast.tensor(x), kind)
        fast.sync()
        assert_same(made.numpy(), oracle(x, kind), what=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_scales_that_halves_hold_badly(gpus, kind):
    """Scales that become subnormal halves, zeros, the largest half, infinity; ties of the rounding to a half."""
    x = with_bad_scales(kind)
    assert_same(run(gpus(448), x, kind), oracle(x, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_zeros_and_of_one_number(gpus, kind):
    """No spread and no scale: what is divided by it is 0, not NaN. A zero's sign shows in the scale or the minimum."""
    values = np.float32([0.0, -0.0, 1.0, -1.0, 2.0**-149, -(2.0**-126), 2.0**-101, 3e38 / 2])
    x = np.repeat(values, 32)
    plain = np.repeat(values[[0, 1, 2, 3, 7]], 32)
    assert_same(expected(plain, kind), oracle(plain, kind), what="reference")
    assert_same(run(gpus(64), x, kind), expected(x, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_scale_that_counts(gpus, kind):
    """By 2^-100 numbers are still divided; by the float before it they are not, and all of them are 0's number."""
    x = np.zeros((2, 32), np.float32)
    x[:, 5] = {"Q8_0": 127, "Q4_0": -8, "Q5_0": -16, "Q4_1": 15, "Q5_1": 31}[kind] * 2.0**-100
    x[1] = np.nextafter(x[1], np.float32(0))
    assert_same(expected(x[0], kind), oracle(x[0], kind), what="reference")
    counts, does_not = made = run(gpus(64), x.reshape(-1), kind).reshape(2, -1)
    assert_same(made.reshape(-1), expected(x.reshape(-1), kind))
    assert (counts != does_not).any()


@pytest.mark.parametrize("kind", ["Q4_1", "Q5_1"])
def test_a_smallest_zero_is_negative_if_one_of_them_is(gpus, kind):
    """gguf's choice among zeros of both signs hangs on their places; ours does not. Both decode to the same values."""
    x = np.float32([0.0, *[1.0] * 30, -0.0, -0.0, *[2.0] * 30, 0.0])
    made = run(gpus(32), x, kind)
    assert_same(made, expected(x, kind))
    assert made.reshape(2, -1)[:, 3].tolist() == [0x80, 0x80]


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_back_is_near(gpus, kind):
    """Half a step off, or a whole one where 16 numbers had to do for 17 values: what quantization is for."""
    x = np.random.default_rng(11).standard_normal((200, 32)).astype(np.float32)
    back = quants.dequantize(run(gpus(832), x, kind).reshape(200, -1), GGMLQuantizationType[kind])
    spread = np.ptp(x, axis=1, keepdims=True) if kind in ("Q4_1", "Q5_1") else np.abs(x).max(axis=1, keepdims=True)
    step = spread / {"Q8_0": 127, "Q4_0": 8, "Q5_0": 16, "Q4_1": 15, "Q5_1": 31}[kind]
    error = np.abs(back - x)
    assert (error <= step * (1.02 if kind in ("Q4_0", "Q5_0") else 0.52) + 0.004 * np.abs(x)).all()
    assert error.max() > 0.4 * step.min()


def test_equals_the_golden_fixture(gpus):
    """Made once by the gguf package (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "quantize")
    for kind in KINDS:
        assert_same(run(gpus(1024), golden["x"], kind), golden[kind].reshape(-1), what=kind)


@pytest.mark.parametrize(
    ("shape", "dtype", "kind", "message"),
    [
        ((64,), "float32", "Q4_K", "kind must be one of Q8_0, Q4_0, Q4_1, Q5_0, Q5_1"),
        ((2, 48), "float32", "Q4_0", "rows of 48 values are not whole blocks of 32"),
        ((32,), "float16", "Q8_0", "x must be float32"),
        ((0, 32), "float32", "Q8_0", "not whole blocks"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, shape, dtype, kind, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Quantize(gpu)(gpu.empty(shape, dtype), kind)


def test_a_wrong_out_is_named_before_launch(gpus):
    gpu = gpus(256)
    for out in (gpu.empty((18,)), gpu.empty((20,), np.uint8)):
        with pytest.raises(ValueError, match=r"out must be \(18,\) bytes"):
            Quantize(gpu)(gpu.empty((32,)), "Q4_0", out)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_seen_with_these_inputs(mistake):
    """Of the floats that the other tests take, each mistake that is possible for a kind makes other bytes."""
    seen = 0
    for kind in KINDS:
        inputs = [some_floats(1, 400), at_thresholds(kind), with_bad_scales(kind)]
        try:
            with np.errstate(all="ignore"):
                seen += any(not identical(MISTAKES[mistake](x, kind), oracle(x, kind)) for x in inputs)
        except KeyError:  # a mistake of other kinds
            continue
    assert seen, "these floats do not tell it"
