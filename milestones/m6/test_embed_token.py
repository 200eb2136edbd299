"""The spec of embed_token. Source: the composition of m1's dequantize and m5's prepare."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m5.repack import Repack
from milestones.m6.embed_token import EmbedToken
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.embed_token import embed_token
from reference.mistakes.embed_token import MISTAKES, RIGHT
from tests.packed import KINDS, assert_left, vector, weight, with_room


@watched("embed_token")
def run(gpu, raw, kind, shape, token, norm, nibbles):
    """The row and what is left; the memory after them must be as poisoned as before."""
    width = shape[1]
    (x, check_x), (out, check) = with_room(gpu, (width,)), with_room(gpu, (width + width // 16,))
    table, state = Repack(gpu)(gpu.tensor(raw), kind, shape), gpu.tensor(np.uint32([token, 77]))
    EmbedToken(gpu)(table, state, gpu.tensor(norm), x, out, nibbles=int(nibbles))
    gpu.sync()
    check_x()
    check()
    return x.numpy(), out.numpy()


def test_a_row_worked_by_hand(gpu):
    """Row 1 of two: half the nibble, less 1, so −0.5 and 6.5; their squares 0.25 and 42.25; times norm's 2, −1 and 13."""
    raw = np.array([0] * 20 + [0x00, 0x38, 0x00, 0xBC] + [0xF1] * 16, np.uint8)
    x, out = run(gpu, raw, "Q4_1", (2, 32), 1, np.full(32, 2, np.float32), False)
    assert_same(x, np.float32([-0.5] * 16 + [6.5] * 16), what="x")
    assert_same(out, np.float32([-1] * 16 + [13] * 16 + [16 * 12, 16 * 42.5]), what="out")


def check(got, raw, kind, shape, token, norm, nibbles):
    """The row bit for bit, what is left within its rounding."""
    exact, _ = embed_token(torch.from_numpy(raw), kind, shape, token, torch.from_numpy(norm), nibbles)
    assert_same(got[0], exact.numpy())
    assert_left(got[1], got[0].astype(np.float64), 0 * got[0], norm.astype(np.float64), nibbles)


@examples(12)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 100),
    blocks=st.integers(1, 40),
    nibbles=st.booleans(),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, kind="Q8_0", n=65, blocks=33, nibbles=True, width=64)
@example(seed=0, kind="Q4_0", n=65, blocks=3, nibbles=True, width=32)
@example(seed=31, kind="Q8_0", n=65, blocks=2, nibbles=False, width=64)  # the last row of a tile
@example(seed=64, kind="Q8_0", n=65, blocks=2, nibbles=False, width=64)  # the first of the third
def test_equals_what_gguf_makes_of_the_row(gpus, seed, kind, n, blocks, nibbles, width):
    """The row bit for bit: a scale times a number is exact, and one operation rounds. The rest within its rounding."""
    raw, norm, token = weight(seed, kind, n, 32 * blocks), vector(seed, 32 * blocks), seed % n
    case = (raw, kind, (n, 32 * blocks), token, norm, nibbles)
    got = run(gpus(width), *case)
    assert_same(got[0], quants.dequantize(raw.reshape(n, -1), GGMLQuantizationType[kind])[token])
    check(got, *case)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    case = (weight(1, "Q4_1", 65, 96), "Q4_1", (65, 96), 40, vector(1, 96), True)
    check(RIGHT(*case), *case)
    with pytest.raises(AssertionError, match="differ"):
        check(MISTAKES[mistake](*case), *case)


def test_a_misfit_is_named_before_launch(gpus):
    gpu = gpus(256)
    table, state = Repack(gpu)(gpu.tensor(np.zeros(40, np.uint8)), "Q4_1", (2, 32)), gpu.tensor(np.uint32([0, 0]))
    with pytest.raises(ValueError, match=r"rows of table have 32 values, x has shape \(33,\)"):
        EmbedToken(gpu)(table, state, gpu.empty((32,)), gpu.empty((33,)), gpu.empty((34,)), nibbles=0)
    with pytest.raises(ValueError, match="state must be uint32"):
        EmbedToken(gpu)(table, gpu.empty((2,)), gpu.empty((32,)), gpu.empty((32,)), gpu.empty((34,)), nibbles=0)
