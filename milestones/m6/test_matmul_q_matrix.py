"""The spec of matmul_q_matrix. Sources: matmul_q's; Metal Shading Language Specification 2.3, "SIMD-group matrix functions"."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m5.repack import Repack, packed_size
from milestones.m6 import test_matmul_q
from milestones.m6.matmul_q_matrix import MatmulQMatrix
from milestones.m6.test_matmul_q import block
from reference.compare import assert_close
from reference.diagnosis import watched
from reference.matmul_q_matrix import matmul_q_matrix
from reference.mistakes.matmul_q_matrix import MISTAKES
from tests.packed import KINDS, weight, with_room


@watched("matmul_q_matrix")
def run(gpu, x, raw, kind, shape, y=None, step=1):
    """The product, or with `y` that much more; every step-th tile is the weight's. Memory after it must stay poisoned."""
    first, data = step - 1, gpu.empty((step * packed_size(kind, shape),), np.uint32)
    packed = Repack(gpu)(gpu.tensor(raw), kind, shape, data, first=first, step=step)
    out, check = with_room(gpu, (len(x), shape[0]))
    if y is not None:
        out.numpy()[:] = y
    MatmulQMatrix(gpu)(gpu.tensor(x), packed, out, add=y is not None)
    gpu.sync()
    check()
    return out.numpy()


def expected(x, raw, kind, shape, y=None, step=1):
    """matmul_q's bound: its roundings, in another order, are all there are. Products with the zeros of a piece that is not full
    are exact.
    """
    there = None if y is None else torch.from_numpy(y)
    exact = matmul_q_matrix(torch.from_numpy(x).double(), torch.from_numpy(raw), kind, shape, there).numpy()
    return exact.astype(np.float32), test_matmul_q.expected(x, raw, kind, shape, y)[1]


def test_a_product_worked_by_hand(gpu):
    """One block of half the nibble, less 1: low nibbles 1 are −0.5, high ones 15 are 6.5. So 16 · −0.5 + 16 · 6.5 = 96."""
    raw = np.array([0x00, 0x38, 0x00, 0xBC] + [0xF1] * 16, np.uint8)
    x = np.ones((3, 32), np.float32) * np.float32([[1], [2], [-1]])
    assert run(gpu, x, raw, "Q4_1", (1, 32)).flatten().tolist() == [96.0, 192.0, -96.0]


@pytest.mark.parametrize("kind", KINDS)
def test_each_value_of_a_block_meets_its_own_x(gpus, kind):
    """Pieces in the wrong place, which random sums could hide: x picks out one value at a time, and that must come out."""
    raw, shape, x = weight(3, kind, 33, 64), (33, 64), np.eye(64, dtype=np.float32)
    values = quants.dequantize(raw.reshape(33, -1), GGMLQuantizationType[kind])
    assert_close(run(gpus(256), x, raw, kind, shape), values.T, expected(x, raw, kind, shape)[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("m", "n", "k"), [(37, 64, 576), (8, 192, 288)], ids=str)
def test_equals_the_product_with_what_gguf_makes_of_the_bytes(gpus, kind, m, n, k):
    """An oracle nobody here wrote: the `gguf` package's floats, multiplied in float64, at sizes of the default model."""
    raw, x = weight(n + k, kind, n, k), block(k, m, k)
    y = x.astype(np.float64) @ quants.dequantize(raw.reshape(n, -1), GGMLQuantizationType[kind]).astype(np.float64).T
    assert_close(run(gpus(64), x, raw, kind, (n, k)), y.astype(np.float32), expected(x, raw, kind, (n, k))[1])


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    m=st.one_of(st.integers(1, 70), st.sampled_from([8, 31, 32, 33])),
    n=st.integers(1, 100),
    blocks=st.integers(1, 4),
    scale=st.sampled_from([1e-15, 1.0, 1e20]),
    halves=st.booleans(),
    add=st.booleans(),
    step=st.integers(1, 2),
    width=st.sampled_from(WIDTHS),
)
# 7 tokens and rows in a piece, of floats and of halves; several threadgroups add; all 32 SIMD-groups work
@example(seed=0, kind="Q4_0", m=23, n=23, blocks=1, scale=1.0, halves=False, add=False, step=1, width=64)
@example(seed=0, kind="Q4_0", m=23, n=23, blocks=2, scale=1.0, halves=True, add=False, step=1, width=64)
@example(seed=0, kind="Q4_0", m=70, n=9, blocks=1, scale=1.0, halves=False, add=True, step=1, width=64)
@example(seed=0, kind="Q4_0", m=1001, n=9, blocks=1, scale=1.0, halves=False, add=False, step=1, width=1024)
@example(seed=0, kind="Q4_1", m=16, n=40, blocks=3, scale=1.0, halves=False, add=False, step=1, width=32)
@example(seed=0, kind="Q4_1", m=13, n=33, blocks=3, scale=1.0, halves=False, add=True, step=2, width=64)
@example(seed=0, kind="Q8_0", m=70, n=100, blocks=2, scale=1.0, halves=False, add=False, step=2, width=64)
@example(seed=0, kind="Q4_0", m=40, n=100, blocks=1, scale=1.0, halves=False, add=False, step=1, width=1024)
def test_equals_the_reference_for_any_shape_scale_and_width(gpus, seed, kind, m, n, blocks, scale, halves, add, step, width):
    """Tokens and rows around pieces of 8 and tiles of 32, more tiles than threadgroups, tiles of two weights in turn; x of
    floats, or of halves, each of which is a float, exactly, so that the bound is the same."""
    raw, x, shape = weight(seed, kind, n, 32 * blocks), block(seed, m, 32 * blocks, scale, halves), (n, 32 * blocks)
    case = (x, raw, kind, shape, block(seed + 5, m, n, scale) if add else None, step)
    assert_close(run(gpus(width), *case), *expected(*case))


CASES = [(8, "Q4_1", 13, 35, 96), (9, "Q4_0", 3, 64, 64), (10, "Q8_0", 9, 33, 160)]


@pytest.mark.parametrize(("seed", "kind", "m", "n", "k"), CASES, ids=str)
def test_the_reference_in_float32_is_well_inside_the_bound(seed, kind, m, n, k):
    """The bound is no trap: plain float32 needs at most half of it."""
    raw, x, y = weight(seed, kind, n, k), block(seed, m, k), block(seed + 5, m, n)
    exact, allowed = expected(x, raw, kind, (n, k), y)
    plain = matmul_q_matrix(torch.from_numpy(x), torch.from_numpy(raw), kind, (n, k), torch.from_numpy(y))
    assert_close(plain.numpy(), exact, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """A bound that lets a usual mistake pass would prove nothing: each is more than 8 times too far off, somewhere."""
    found = []
    for seed, kind, m, n, k in CASES:
        case = (block(seed, m, k), weight(seed, kind, n, k), kind, (n, k), block(seed + 5, m, n))
        exact, allowed = expected(*case)
        found.append((np.abs(MISTAKES[mistake](*case) - exact) / allowed).max())
    assert max(found) > 8


@pytest.mark.parametrize(
    ("x", "out", "options", "message"),
    [
        ((2, 64), None, {}, "matmul_q_matrix: rows of weight have 32 values, rows of x have 64"),
        ((2, 32), (2, 3), {}, r"out has shape \(2, 3\), the product has \(2, 2\)"),
        ((2, 32), None, {"add": True}, "there is no out to add to"),
        ((), None, {}, "x must have two dimensions"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, x, out, options, message):
    gpu = gpus(256)
    packed = Repack(gpu)(gpu.tensor(np.zeros(40, np.uint8)), "Q4_1", (2, 32))
    with pytest.raises(ValueError, match=message):
        MatmulQMatrix(gpu)(gpu.empty(x), packed, gpu.empty(out) if out else None, **options)
