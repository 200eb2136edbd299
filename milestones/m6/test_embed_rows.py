"""The spec of embed_rows. Source: ggml's block formats, as `gguf` reads them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from milestones.m5.repack import Repack
from milestones.m6.embed_rows import EmbedRows
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.embed_rows import embed_rows
from reference.mistakes.embed_rows import MISTAKES, RIGHT
from tests.packed import KINDS, weight, with_room


@watched("embed_rows")
def run(gpu, raw, kind, shape, ids):
    """The rows; the memory after them must be as poisoned as before."""
    out, check = with_room(gpu, (len(ids), shape[1]))
    EmbedRows(gpu)(Repack(gpu)(gpu.tensor(raw), kind, shape), ids, out)
    gpu.sync()
    check()
    return out.numpy()


def test_rows_worked_by_hand(gpu):
    """Rows 1, 0 and 1 of two. Row 1: half the nibble, less 1, so 16 times −0.5 and 16 times 6.5; row 0 is zeros."""
    raw = np.array([0] * 20 + [0x00, 0x38, 0x00, 0xBC] + [0xF1] * 16, np.uint8)
    y = run(gpu, raw, "Q4_1", (2, 32), [1, 0, 1])
    one = [-0.5] * 16 + [6.5] * 16
    assert_same(y, np.float32([one, [0] * 32, one]))


@examples(12)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 100),
    blocks=st.integers(1, 20),
    tokens=st.integers(1, 9),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, kind="Q8_0", n=65, blocks=3, tokens=5, width=64)
@example(seed=0, kind="Q4_0", n=65, blocks=3, tokens=5, width=32)
def test_equals_what_gguf_makes_of_the_rows(gpus, seed, kind, n, blocks, tokens, width):
    """Bit for bit: a scale times a number is exact, and one operation rounds. A tile's last row and a first are among them."""
    raw, shape = weight(seed, kind, n, 32 * blocks), (n, 32 * blocks)
    ids = [*np.random.default_rng(seed).integers(0, n, tokens).tolist(), 31 % n, 64 % n]
    y = run(gpus(width), raw, kind, shape, ids)
    assert_same(y, quants.dequantize(raw.reshape(n, -1), GGMLQuantizationType[kind])[ids])
    assert_same(y, embed_rows(torch.from_numpy(raw), kind, shape, ids).numpy())


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    case = (weight(1, "Q4_1", 65, 96), "Q4_1", (65, 96), [40, 3, 64])
    assert (MISTAKES[mistake](*case) != RIGHT(*case)).any()


@pytest.mark.parametrize(
    ("ids", "out", "message"),
    [
        ([2], (1, 32), "ids must lie in 0 to 1, got 2 to 2"),
        ([-1], (1, 32), "ids must lie in 0 to 1"),
        ([], (1, 32), "no ids were given"),
        ([0, 1], (1, 32), r"out has shape \(1, 32\), expected \(2, 32\)"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, ids, out, message):
    gpu = gpus(256)
    table = Repack(gpu)(gpu.tensor(np.zeros(40, np.uint8)), "Q4_1", (2, 32))
    with pytest.raises(ValueError, match=message):
        EmbedRows(gpu)(table, ids, gpu.empty(out))
