"""The spec of repack. Source: packed.h, which says where each half and word of a tile's block stands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m5.repack import LAYOUT, Packed, Repack, packed_size
from reference import repack as reference
from reference.compare import assert_same
from reference.diagnosis import watched
from reference.mistakes.repack import MISTAKES
from tests.packed import with_room

KINDS = st.sampled_from(sorted(LAYOUT))


def some_bytes(seed, kind, rows, blocks):
    """Bytes of a weight of so many rows and blocks: any bytes at all."""
    _, before, words, after = LAYOUT[kind]
    size = rows * blocks * (2 * before + 4 * words + 2 * after)
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


@watched("repack")
def run(gpu, raw, kind, shape, head=0):
    """The tiles as bytes (tiles, blocks, bytes)."""
    packed = Repack(gpu)(gpu.tensor(raw), kind, shape, head=head)
    gpu.sync()
    return packed.data.numpy().view(np.uint8).reshape(packed.tiles, shape[1] // LAYOUT[kind][0], -1)


def expected(raw, kind, shape, head=0):
    """Bytes are moved, none is changed: equal bit for bit."""
    values, before, words, after = LAYOUT[kind]
    blocks = shape[1] // values
    return reference.repack(torch.from_numpy(raw), (shape[0], blocks), before, words, after, head).numpy()


def test_a_tile_worked_by_hand(gpu):
    """Q4_1, one row of one block: d is first, m after 32 halves, the words after 64 halves, 32 words apart."""
    raw = np.arange(1, 21, dtype=np.uint8)
    (tile,) = run(gpu, raw, "Q4_1", (1, 32))[0]
    wanted = np.zeros(640, np.uint8)  # the 31 rows that there are not must be zeros
    for at, part in ((0, raw[:2]), (64, raw[2:4]), (128, raw[4:8]), (256, raw[8:12]), (384, raw[12:16]), (512, raw[16:])):
        wanted[at : at + len(part)] = part
    assert_same(tile, wanted)


@pytest.mark.parametrize("kind", LAYOUT)
def test_equals_the_reference(gpus, kind):
    """Every kind, at row counts around a tile's 32; what was packed unpacks to the same bytes."""
    gpu = gpus(256)
    for rows, blocks in ((33, 3), (32, 1), (31, 2), (1, 5)):
        raw, shape = some_bytes(rows, kind, rows, blocks), (rows, blocks * LAYOUT[kind][0])
        assert_same(run(gpu, raw, kind, shape), expected(raw, kind, shape))


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=KINDS,
    heads=st.integers(1, 5),
    head=st.sampled_from([0, 2, 6, 32]),
    blocks=st.integers(1, 3),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, kind="Q6_K", heads=3, head=6, blocks=2, width=1024)
def test_what_was_packed_unpacks_to_the_same_bytes(gpus, seed, kind, heads, head, blocks, width):
    """unpack(repack(x)) = x for every kind, any bytes and number of rows, in the file's order or with RoPE's pairs together."""
    gpu, rows = gpus(width), heads * (head or 9)
    raw, shape = some_bytes(seed, kind, rows, blocks), (rows, blocks * LAYOUT[kind][0])
    tiles = run(gpu, raw, kind, shape, head)
    assert_same(tiles, expected(raw, kind, shape, head))
    data = gpu.tensor(tiles.reshape(-1).view(np.uint32))
    room = gpu.empty((raw.size + 4096,), np.uint8)
    out = Repack(gpu).unpack(Packed(data, kind, shape, head=head), Tensor(room.buffer, raw.shape, room.dtype))
    gpu.sync()
    assert_same(out.numpy(), raw)
    assert (room.numpy()[raw.size :] == 0xCD).all(), "bytes past the last were written"


@pytest.mark.parametrize("parts", [(3, 2, 3), (4, 0, 0), (0, 0, 3), (0, 1, 2)], ids=str)
def test_blocks_of_any_parts(gpus, monkeypatch, parts):
    """The kernels know no kinds: more halves than words, several after the words, no words at all."""
    monkeypatch.setitem(LAYOUT, "any", (32, *parts))
    gpu, shape, raw = gpus(64), (33, 64), some_bytes(5, "any", 33, 2)
    tiles, check_tiles = with_room(gpu, (packed_size("any", shape),), np.uint32)
    out, check = with_room(gpu, raw.shape, np.uint8)
    Repack(gpu).unpack(Repack(gpu)(gpu.tensor(raw), "any", shape, tiles), out)
    gpu.sync()
    check_tiles()
    check()
    assert_same(tiles.numpy().view(np.uint8).reshape(2, 2, -1), expected(raw, "any", shape))
    assert_same(out.numpy(), raw)


def test_tiles_of_two_weights_may_take_turns_in_one_tensor(gpus):
    """Gate and up: tile t of one becomes tile 2t, of the other tile 2t + 1. Neither writes where the other does."""
    gpu, shape = gpus(64), (70, 64)
    both = gpu.empty((2 * packed_size("Q8_0", shape),), np.uint32)
    raws = [some_bytes(seed, "Q8_0", 70, 2) for seed in (1, 2)]
    packed = [Repack(gpu)(gpu.tensor(raw), "Q8_0", shape, both, first=n, step=2) for n, raw in enumerate(raws)]
    gpu.sync()
    tiles = both.numpy().view(np.uint8).reshape(3, 2, 2, -1)
    for n, raw in enumerate(raws):
        assert_same(np.ascontiguousarray(tiles[:, n]), expected(raw, "Q8_0", shape))
        assert_same(_unpacked(gpu, packed[n]), raw)


def _unpacked(gpu, packed):
    out = Repack(gpu).unpack(packed)
    gpu.sync()
    return out.numpy()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_show_on_these_inputs(mistake):
    """What a spec's inputs cannot tell apart, it cannot refuse."""
    case = (some_bytes(1, "Q4_1", 64, 2), "Q4_1", (64, 64), 8)
    assert (MISTAKES[mistake](*case) != expected(*case)).any()


@pytest.mark.parametrize(
    ("kind", "shape", "size", "options", "message"),
    [
        ("Q9_9", (1, 32), 20, {}, "kind must be one of F32"),
        ("Q4_1", (1, 31), 20, {}, "rows of 31 values are not whole Q4_1 blocks of 32"),
        ("Q4_1", (1, 32), 21, {}, r"Q4_1 of shape \(1, 32\) is 20 bytes, raw has 21"),
        ("Q4_1", (3, 32), 60, {"head": 2}, "3 rows are not whole heads of 2"),
        ("Q4_1", (1, 32), 20, {"first": 1}, "tile 1 is past packed's 1"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, kind, shape, size, options, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Repack(gpu)(gpu.empty((size,), np.uint8), kind, shape, **options)
