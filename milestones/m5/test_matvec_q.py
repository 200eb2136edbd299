"""The spec of matvec_q. Sources: ggml's block formats, as `gguf` reads them; rounding: Higham, Accuracy and Stability, §3.1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m5.matvec_q import KINDS, MatvecQ
from milestones.m5.repack import Repack
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.matvec_q import matvec_q
from reference.mistakes.matvec_q import MISTAKES
from reference.tolerance import packed_bound
from tests.packed import vector, weight


@watched("matvec_q")
def run(gpu, x, raw, kind, shape):
    """The product, of the packed weight; the memory after it must be as poisoned as before."""
    room = gpu.empty((shape[0] + 4096,))
    packed = Repack(gpu)(gpu.tensor(raw), kind, shape)
    y = MatvecQ(gpu)(gpu.tensor(x), packed, Tensor(room.buffer, shape[:1], room.dtype))
    gpu.sync()
    assert np.isnan(room.numpy()[shape[0] :]).all(), "values past the last were written"
    return y.numpy()


def expected(x, raw, kind, shape):
    """(k + 4) ε of Σ|x|(|d q| + |m|): each of k products and k additions rounds by at most ε/2 in whatever order, and so do
    the few operations that bring d and m in. d q and m are measured apart, because they may cancel: q is summed before m
    comes to it.
    """
    exact = matvec_q(torch.from_numpy(x).double(), torch.from_numpy(raw), kind, shape)
    return exact.numpy().astype(np.float32), packed_bound(x, raw, kind, shape)


def test_a_product_worked_by_hand(gpu):
    """One block of half the nibble, less 1: low nibbles 1 are −0.5, high ones 15 are 6.5: 16 · −0.5 + 16 · 6.5 = 96."""
    raw = np.array([0x00, 0x38, 0x00, 0xBC] + [0xF1] * 16, np.uint8)
    assert_same(run(gpu, np.ones(32, np.float32), raw, "Q4_1", (1, 32)), np.float32([96]))


@pytest.mark.parametrize("kind", KINDS)
def test_each_value_of_a_block_meets_its_own_x(gpu, kind):
    """Wrong nibbles that random sums could hide: x picks out one value at a time, and that one must come out."""
    raw, shape = weight(3, kind, 33, 32), (33, 32)
    values = quants.dequantize(raw.reshape(33, -1), GGMLQuantizationType[kind])
    for j in (0, 1, 2, 3, 15, 16, 19, 30, 31):
        x = np.zeros(32, np.float32)
        x[j] = 1
        assert_close(run(gpu, x, raw, kind, shape), values[:, j], expected(x, raw, kind, shape)[1])


def with_one_zero(kind):
    """A block for each of 32 rows: row j's number j is 0, all bits of its others are set; d is 1, m is 0."""
    zeros = np.eye(32, dtype=bool)
    if kind == "Q8_0":
        q = np.where(zeros, 0, 255).astype(np.uint8)
    else:
        q = np.where(zeros[:, :16], 0, 0x0F).astype(np.uint8) | np.where(zeros[:, 16:], 0, 0xF0).astype(np.uint8)
    head = np.frombuffer(np.float16([1, 0] if kind == "Q4_1" else [1]).tobytes(), np.uint8)
    return np.concatenate([np.tile(head, (32, 1)), q], axis=1).reshape(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_of_a_number_gets_into_another(gpu, kind):
    """A mask with a bit too many adds so little that a sum's bound allows it. Beside numbers that are 0 it shows: picked out
    alone, each comes out exactly."""
    raw, shape = with_one_zero(kind), (32, 32)
    values = quants.dequantize(raw.reshape(32, -1), GGMLQuantizationType[kind])
    for j, x in enumerate(np.eye(32, dtype=np.float32)):
        assert_same(run(gpu, x, raw, kind, shape), values[:, j])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "k"), [(576, 576), (192, 1536), (1000, 96)], ids=str)
def test_equals_the_product_with_what_gguf_makes_of_the_bytes(gpus, kind, n, k):
    """An oracle nobody here wrote: the `gguf` package's floats, multiplied in float64, at sizes of the default model."""
    raw, x = weight(n + k, kind, n, k), vector(k, k)
    y = quants.dequantize(raw.reshape(n, -1), GGMLQuantizationType[kind]).astype(np.float64) @ x
    assert_close(run(gpus(64), x, raw, kind, (n, k)), y.astype(np.float32), expected(x, raw, kind, (n, k))[1])


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 100),
    blocks=st.integers(1, 6),
    scale=st.sampled_from([1e-15, 1.0, 1e20]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, kind="Q4_1", n=33, blocks=3, scale=1.0, width=32)
@example(seed=0, kind="Q8_0", n=64, blocks=1, scale=1.0, width=1024)
def test_equals_the_reference_for_any_shape_scale_and_width(gpus, seed, kind, n, blocks, scale, width):
    """Rows around a tile's 32, one block and more, results of any size."""
    raw, x = weight(seed, kind, n, 32 * blocks), vector(seed, 32 * blocks, scale)
    assert_close(run(gpus(width), x, raw, kind, (n, 32 * blocks)), *expected(x, raw, kind, (n, 32 * blocks)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_in_float32_is_well_inside_the_bound(kind):
    """The bound is no trap: plain float32 needs at most half of it."""
    raw, x, shape = weight(8, kind, 35, 96), vector(8, 96), (35, 96)
    exact, allowed = expected(x, raw, kind, shape)
    assert_close(matvec_q(torch.from_numpy(x), torch.from_numpy(raw), kind, shape), exact, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    case = (vector(8, 96), weight(8, "Q4_1", 35, 96), "Q4_1", (35, 96))
    y, allowed = expected(*case)
    assert (np.abs(MISTAKES[mistake](*case) - y) > 8 * allowed).any()


@pytest.mark.parametrize(
    ("kind", "x", "out", "message"),
    [
        ("Q4_1", (64,), None, r"rows of weight have 32 values, x has shape \(64,\)"),
        ("Q4_1", (32,), (3,), r"out has shape \(3,\), the product has 2 values"),
        ("Q5_0", (32,), None, "there is no product for Q5_0"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, kind, x, out, message):
    gpu = gpus(256)
    sizes = {"Q4_1": 40, "Q5_0": 44}
    packed = Repack(gpu)(gpu.tensor(np.zeros(sizes[kind], np.uint8)), kind, (2, 32))
    with pytest.raises(ValueError, match=message):
        MatvecQ(gpu)(gpu.empty(x), packed, gpu.empty(out) if out else None)
