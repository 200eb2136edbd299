"""The spec of get_rows. Source: the embedding lookup of every transformer; here a copy of bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m1.dequantize import KINDS
from milestones.m1.get_rows import POISON, GetRows
from milestones.m1.test_dequantize import oracle, some_bytes
from reference.compare import assert_same
from reference.dequantize import dequantize
from reference.diagnosis import watched
from reference.get_rows import get_rows
from reference.golden import load
from reference.mistakes.get_rows import MISTAKES
from reference.symptoms import identical, poison

UNWRITTEN = poison(np.float32).view(np.uint32)  # what outputs are filled with


@watched("get_rows")
def run(gpu, table, ids, kind="F32", shape=None):
    """The rows; the memory after them, where an unguarded tail would land, must be as poisoned as before."""
    k, d = len(ids), (shape or table.shape)[1]
    room = gpu.empty((k * d + 4096,))
    out = GetRows(gpu)(gpu.tensor(table), gpu.tensor(ids), Tensor(room.buffer, (k, d), room.dtype), kind=kind, shape=shape)
    gpu.sync()
    assert (room.numpy()[k * d :].view(np.uint32) == UNWRITTEN).all(), "rows past the last were written: is the tail sent home?"
    return out.numpy()


def a_table(seed, n, d):
    """Every row is different, and its bits are anything at all: NaN payloads, infinities, subnormals, −0 among them."""
    bits = np.random.default_rng(seed).integers(0, 1 << 32, (n, d)).astype(np.uint32)
    odd = np.uint32([0x80000000, 1, 0x807FFFFF, 0x7F800001, 0xFFC12345, 0x7F800000])
    bits.reshape(-1)[::5] = np.resize(odd, -(-bits.size // 5))
    return bits.view(np.float32)


def expected(table, ids):
    """Equal bit for bit: a row is copied, or dequantized by operations of which only the last one rounds."""
    return get_rows(torch.from_numpy(table), torch.from_numpy(ids.astype(np.int64)))


def test_rows_worked_by_hand(gpu):
    """Rows 2, 0 and 2 again, of a table of three."""
    table = np.float32([[1, 2], [3, 4], [5, 6]])
    assert_same(run(gpu, table, np.uint32([2, 0, 2])), np.float32([[5, 6], [1, 2], [5, 6]]))


@pytest.mark.parametrize("d", [1, 31, 32, 33, 576, 1009], ids="d{}".format)
@pytest.mark.parametrize("k", [1, 33], ids="k{}".format)
def test_equals_the_reference_and_numpy_bit_for_bit(gpu, k, d):
    """One column, a SIMD-group's 32, one more or less, the model's width and a prime; one row, and one more than 32."""
    table = a_table(d, 71, d)
    ids = np.concatenate([[70], np.random.default_rng(k).permutation(70)])[:k].astype(np.uint32)  # the last row always
    got = run(gpu, table, ids)
    assert_same(got, table[ids])
    assert_same(got, expected(table, ids))


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 50),
    d=st.integers(1, 100),
    ids=st.lists(st.integers(0, 60) | st.sampled_from([2**31, 2**32 - 1]), min_size=1, max_size=70),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, n=7, d=33, ids=[6, 7, 0, 2**32 - 1], width=32)
@examples(25)
def test_equals_the_reference_for_any_ids_even_ones_the_table_lacks(gpus, seed, n, d, ids, width):
    """n itself is the first id that is missing; an id that is as good as negative must not come round to the front."""
    table, numbers = a_table(seed, n, d), np.uint32(ids)
    assert_same(run(gpus(width), table, numbers), expected(table, numbers))


def test_rows_of_a_q4_0_table_worked_by_hand(gpu):
    """Row 1 is d = 2, all nibbles 9 but the first byte's, 0xF0: −16 in value 0 and 14 in value 16."""
    raw = np.uint8([0x00, 0x3C, *[0x88] * 16, 0x00, 0x40, 0xF0, *[0x99] * 15])
    expected = np.full((1, 32), 2.0, np.float32)
    expected[0, [0, 16]] = -16, 14
    assert_same(run(gpu, raw, np.uint32([1]), "Q4_0", (2, 32)), expected)


@pytest.mark.parametrize(
    ("kind", "d"),
    [
        *((kind, d) for kind in ("F32", "F16", "BF16") for d in (1, 31, 33, 96)),
        *((kind, d) for kind in ("Q8_0", "Q4_0", "Q4_1") for d in (32, 96, 1056)),
    ],
)
def test_rows_of_every_kind_equal_those_of_the_table_dequantized_by_gguf(gpu, kind, d):
    """Reading a row where it lies must give what dequantizing the whole table gives, bit for bit."""
    n, ids = 37, np.uint32([36, 0, 5, 5, 17, 36, 2**32 - 1, 37])
    raw = some_bytes(d, kind, n * d)
    table = oracle(raw, kind).reshape(n, d)
    got = run(gpu, raw, ids, kind, (n, d))
    assert_same(got[:6], table[ids[:6]])
    assert (got[6:].view(np.uint32) == POISON).all()
    assert len(np.unique(got[:6].view(np.uint32), axis=0)) >= 4, "the rows must differ"


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(sorted(KINDS)),
    n=st.integers(1, 40),
    blocks=st.integers(1, 4),
    ids=st.lists(st.integers(0, 45), min_size=1, max_size=70),
    width=st.sampled_from(WIDTHS),
)
@examples(25)
def test_rows_of_any_kind_equal_the_reference(gpus, seed, kind, n, blocks, ids, width):
    """A row of blocks is d / 32 blocks long, whatever the kind: where it begins is in bytes, not in values."""
    raw, numbers = some_bytes(seed, kind, n * blocks * 32), np.uint32(ids)
    table = dequantize(torch.from_numpy(raw), kind).reshape(n, blocks * 32)
    assert_same(run(gpus(width), raw, numbers, kind, (n, blocks * 32)), expected(table.numpy(), numbers))


@pytest.mark.parametrize("wrong", [3, 4, 2**31 - 1, 2**31, 2**32 - 1])
def test_an_id_that_the_table_lacks_gives_a_row_of_a_marked_nan_and_touches_no_other(gpu, wrong):
    """The host cannot see ids that the device made without waiting, so the kernel itself must not read outside."""
    table = np.float32([[1, 2, 3]] * 3)
    got = run(gpu, table, np.uint32([0, wrong, 2]))
    assert (got[1].view(np.uint32) == POISON).all()
    assert_same(got[[0, 2]], table[[0, 2]])


def test_the_poison_is_a_quiet_nan_that_no_fresh_output_holds(gpus):
    """Else a kernel that wrote nothing would pass for one that marks the row."""
    assert np.isnan(np.uint32(POISON).view(np.float32)) and POISON & 0x400000
    assert gpus(256).empty((1,)).numpy().view(np.uint32)[0] != POISON


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1"])
def test_rows_of_every_kind_equal_the_golden_fixture(gpus, kind):
    """The values were made once by the gguf package (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "dequantize")
    block, size = KINDS[kind]
    values = golden[f"{kind}_values"].reshape(-1)[: 20 * 32].reshape(20, 32)
    ids = np.uint32([19, 3, 0, 7])
    assert_same(run(gpus(448), golden[f"{kind}_raw"].reshape(-1)[: 20 * 32 // block * size], ids, kind, (20, 32)), values[ids])


def test_equals_the_golden_fixture(gpus):
    """torch.nn.functional.embedding, made once (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "get_rows")
    assert_same(run(gpus(832), golden["table"], golden["ids"]), golden["rows"])


def test_writes_nothing_past_its_rows(gpus):
    """Three ids at a width of 1024: 29 of the 32 SIMD-groups have no row, and must neither read an id nor mark a row."""
    table, ids = a_table(3, 9, 40), np.uint32([8, 9, 0])
    got = run(gpus(1024), table, ids)
    assert_same(got, expected(table, ids))
    assert (got[1].view(np.uint32) == POISON).all()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_seen_with_these_inputs(mistake):
    """A table of equal rows, or ids in ascending order, would let some of these pass."""
    table, ids = a_table(5, 9, 67), np.uint32([8, 3, 3, 9, 20, 0])
    wrong = MISTAKES[mistake](table, ids)
    assert not identical(wrong, expected(table, ids).numpy()), "these inputs do not tell"


@pytest.mark.parametrize(
    ("table", "ids", "out", "message"),
    [
        (((4,), "f4"), ((2,), "u4"), None, "two dimensions"),
        (((4, 2), "f4"), ((2, 1), "u4"), None, "ids must have one dimension"),
        (((4, 2), "u4"), ((2,), "u4"), None, "table must be float32"),
        (((4, 2), "f4"), ((2,), "i4"), None, "ids must be uint32"),
        (((4, 2), "f4"), ((2,), "u4"), ((2, 3), "f4"), "out has shape"),
        (((4, 2), "f4"), ((2,), "u4"), ((2, 2), "u4"), "out must be float32"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, table, ids, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        GetRows(gpu)(gpu.empty(*table), gpu.empty(*ids), gpu.empty(*out) if out else None)


@pytest.mark.parametrize(
    ("kind", "nbytes", "shape", "message"),
    [
        ("Q4_0", 36, None, "the bytes of a Q4_0 table need its shape"),
        ("Q5_0", 44, (2, 32), "get_rows: kind must be one of F32"),
        ("Q4_0", 36, (2, 31), "not whole Q4_0 blocks of 32"),
        ("Q4_0", 36, (3, 32), "is 54 bytes, raw has 36"),
        ("Q4_0", 36, (64,), "two dimensions"),
    ],
)
def test_bytes_that_are_no_such_table_are_named_before_launch(gpus, kind, nbytes, shape, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        GetRows(gpu)(gpu.empty((nbytes,), np.uint8), gpu.empty((2,), np.uint32), kind=kind, shape=shape)
