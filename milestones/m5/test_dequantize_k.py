"""The spec of dequantize_k. Source: ggml's block formats (ggml/src/ggml-common.h), as the `gguf` package reads them."""

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
from milestones.m5.dequantize_k import K_KINDS, DequantizeK
from milestones.m5.golden.make import SCALES
from reference.compare import assert_same
from reference.dequantize_k import dequantize_k
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.dequantize_k import MISTAKES
from reference.symptoms import identical

CASES = [
    pytest.param(kind, n, id=f"{kind}-{n}")
    for kind, (values, _) in K_KINDS.items()
    for n in ((1, 17, 509) if values == 32 else (1, 3, 67))
]


@watched("dequantize_k")
def run(gpu, raw, kind, shape):
    """The values; the memory after them, where an unguarded tail would land, must be as poisoned as before."""
    count = math.prod(shape)
    room = gpu.empty((count + 4096,))
    y = DequantizeK(gpu)(gpu.tensor(raw), kind, shape, Tensor(room.buffer, shape, room.dtype))
    gpu.sync()
    assert np.isnan(room.numpy()[count:]).all(), "values past the last were written: is the tail sent home?"
    return y.numpy()


def oracle(raw, kind):
    """What the `gguf` package makes of the bytes: equal bit for bit, because no product rounds."""
    return quants.dequantize(raw, GGMLQuantizationType[kind])


expected = oracle  # under the name that a failure's report takes its "why this bound" from


def some_bytes(seed, kind, blocks):
    """Random bits, with any finite halves as scales."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (blocks, K_KINDS[kind][1]), np.uint8)
    for at in SCALES[kind]:
        halves = (
            rng.integers(0, 0x7C00, (blocks, 1)).astype(np.uint16) | rng.integers(0, 2, (blocks, 1)).astype(np.uint16) << 15
        )
        raw[:, at : at + 2] = halves.view(np.uint8)
    return raw.reshape(-1)


def half(value):
    return np.float16([value]).tobytes()


def test_a_q5_0_block_worked_by_hand(gpu):
    """d = 0.5. Byte 0 is 0xF1, bits 0 and 31 are set: value 0 is 16 + 1 − 16, value 16 is 15 − 16, value 31 is 16 + 0 − 16."""
    raw = np.frombuffer(half(0.5) + bytes([1, 0, 0, 0x80, 0xF1, *[0] * 15]), np.uint8)
    assert_same(run(gpu, raw, "Q5_0", (32,)), np.float32([0.5, *[-8] * 15, -0.5, *[-8] * 14, 0]))


def test_a_q5_1_block_worked_by_hand(gpu):
    """d = 2, m = −1: the same numbers without the − 16, and the minimum added."""
    raw = np.frombuffer(half(2) + half(-1) + bytes([1, 0, 0, 0x80, 0xF1, *[0] * 15]), np.uint8)
    assert_same(run(gpu, raw, "Q5_1", (1, 32)), np.float32([[33, *[-1] * 15, 29, *[-1] * 14, 31]]))


def six_bit_numbers():
    """12 bytes: runs 0 to 7 have scales 1, 2, 3, 4, 16 + 5, 6, 7, 48 + 8 and minimums 9, 10, 11, 12, 13, 32 + 14, 15, 0."""
    return bytes([1 | 1 << 6, 2, 3, 4 | 3 << 6, 9, 10 | 2 << 6, 11, 12, 5 | 13 << 4, 6 | 14 << 4, 7 | 15 << 4, 8 | 0 << 4])


SCALE, MINIMUM = np.float32([1, 2, 3, 4, 21, 6, 7, 56]), np.float32([9, 10, 11, 12, 13, 46, 15, 0])


def test_a_q4_k_block_worked_by_hand(gpu):
    """d = 0.5, m = 2. All low nibbles are 3, all high ones 10, so run r is 0.5 · s · 3 − 2 · t or 0.5 · s · 10 − 2 · t."""
    raw = np.frombuffer(half(0.5) + half(2) + six_bit_numbers() + bytes([0xA3] * 128), np.uint8)
    values = 0.5 * SCALE * np.float32([3, 10] * 4) - 2 * MINIMUM
    assert_same(run(gpu, raw, "Q4_K", (256,)), values.repeat(32))


def test_a_q5_k_block_worked_by_hand(gpu):
    """The same, and value i's fifth bit of run r is bit r of byte i: byte 0 has those of runs 0 and 7 set, the others none."""
    raw = half(0.5) + half(2) + six_bit_numbers() + bytes([0x81, *[0] * 31]) + bytes([0xA3] * 128)
    q = np.float32([3, 10] * 4).repeat(32).reshape(8, 32)
    q[[0, 7], 0] += 16
    values = 0.5 * SCALE[:, None] * q - 2 * MINIMUM[:, None]
    assert_same(run(gpu, np.frombuffer(raw, np.uint8), "Q5_K", (256,)), values.reshape(-1))


def test_a_q6_k_block_worked_by_hand(gpu):
    """d = 0.5; the scales are −8 to 7, one for 16 values. Of each 128 values, byte i holds value i low and value i + 64 high,
    and the two upper bits of values i, i + 32, i + 64, i + 96 share a byte: here 1, 2, 0, 3."""
    raw = bytes([0x5A] * 128) + bytes([1 | 2 << 2 | 0 << 4 | 3 << 6] * 64) + bytes(np.arange(-8, 8, dtype=np.int8)) + half(0.5)
    q = np.float32([10 + 16, 10 + 32, 5 + 0, 5 + 48] * 2).repeat(32) - 32
    values = 0.5 * np.arange(-8, 8, dtype=np.float32).repeat(16) * q
    assert_same(run(gpu, np.frombuffer(raw, np.uint8), "Q6_K", (256,)), values)


@pytest.mark.parametrize(("kind", "blocks"), CASES)
def test_equals_gguf_and_the_reference_bit_for_bit(gpu, kind, blocks):
    """An oracle nobody here wrote; a SIMD-group's 16 runs and one block more or less, several threadgroups'."""
    raw = some_bytes(blocks, kind, blocks)
    expected = oracle(raw, kind)
    assert_same(dequantize_k(torch.from_numpy(raw), kind), expected, what="reference")
    assert np.count_nonzero(expected) > expected.size // 3, "the expected output must not be trivial"
    assert_same(run(gpu, raw, kind, expected.shape), expected)


@given(
    kind=st.sampled_from(sorted(K_KINDS)),
    seed=st.integers(0, 2**32 - 1),
    blocks=st.integers(1, 40),
    width=st.sampled_from(WIDTHS),
)
@example(kind="Q5_1", seed=0, blocks=17, width=32)
@example(kind="Q6_K", seed=0, blocks=3, width=1024)
@examples(20)
def test_equals_gguf_for_any_bytes_size_and_width(gpus, kind, seed, blocks, width):
    """A model file may hold any numbers, and the device choose any width."""
    raw = some_bytes(seed, kind, blocks)
    expected = oracle(raw, kind)
    assert_same(run(gpus(width), raw, kind, (1, expected.size)), expected.reshape(1, -1))


@pytest.mark.parametrize("kind", K_KINDS)
def test_equals_the_golden_fixture(gpus, kind):
    """Made once by the gguf package, of blocks with every pair of odd scales (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "dequantize_k")
    raw, values = golden[f"{kind}_raw"], golden[f"{kind}_values"]
    assert_same(run(gpus(832), raw.reshape(-1), kind, values.shape), values)


@pytest.mark.parametrize(
    ("nbytes", "kind", "shape", "message"),
    [
        (34, "Q8_0", (32,), "kind must be one of Q5_0, Q5_1, Q4_K, Q5_K, Q6_K"),
        (23, "Q5_1", (32,), "is 24 bytes, raw has 23"),
        (288, "Q4_K", (4, 128), "not whole Q4_K blocks of 256"),
        (4, "Q5_0", (0, 4), "no elements"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, nbytes, kind, shape, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        DequantizeK(gpu)(gpu.empty((nbytes,), np.uint8), kind, shape)


def test_a_wrong_dtype_or_out_is_named_before_launch(gpus):
    gpu = gpus(256)
    with pytest.raises(ValueError, match="raw must be uint8"):
        DequantizeK(gpu)(gpu.empty((22,)), "Q5_0", (32,))
    for out, message in ((gpu.empty((4,)), "out has shape"), (gpu.empty((32,), np.uint32), "out must be float32")):
        with pytest.raises(ValueError, match=message):
            DequantizeK(gpu)(gpu.empty((22,), np.uint8), "Q5_0", (32,), out)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_seen_with_these_inputs(mistake):
    """Of the bytes that the other tests take, each mistake that is possible for a kind makes something else."""
    seen = 0
    for kind in K_KINDS:
        raw = some_bytes(1, kind, 50)
        expected = oracle(raw, kind)
        try:
            wrong = MISTAKES[mistake](raw, kind, expected.shape)
        except KeyError:  # a mistake of other kinds
            continue
        assert not identical(wrong, expected), f"these {kind} bytes do not tell"
        seen += 1
    assert seen, "a mistake of no kind at all"
