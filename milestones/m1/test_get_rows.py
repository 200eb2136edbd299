"""The spec of get_rows. Source: the embedding lookup of every transformer; here a copy of bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import WIDTHS
from milestones.m1.get_rows import POISON, GetRows
from reference.compare import assert_same
from reference.get_rows import get_rows
from reference.golden import load


def run(gpu, table, ids):
    out = GetRows(gpu)(gpu.tensor(table), gpu.tensor(ids))
    gpu.sync()
    return out.numpy()


def a_table(seed, n, d):
    """Every row is different, and its bits are anything at all: NaN payloads, infinities, subnormals, −0 among them."""
    bits = np.random.default_rng(seed).integers(0, 1 << 32, (n, d)).astype(np.uint32)
    odd = np.uint32([0x80000000, 1, 0x807FFFFF, 0x7F800001, 0xFFC12345, 0x7F800000])
    bits.reshape(-1)[::5] = np.resize(odd, -(-bits.size // 5))
    return bits.view(np.float32)


def expected(table, ids):
    return get_rows(torch.from_numpy(table), torch.from_numpy(ids.astype(np.int64)))


def test_rows_worked_by_hand(gpu):
    table = np.float32([[1, 2], [3, 4], [5, 6]])
    assert_same(run(gpu, table, np.uint32([2, 0, 2])), np.float32([[5, 6], [1, 2], [5, 6]]))


@pytest.mark.parametrize("d", [1, 31, 32, 33, 576, 1009], ids="d{}".format)
@pytest.mark.parametrize("k", [1, 33], ids="k{}".format)
def test_equals_the_reference_and_numpy_bit_for_bit(gpu, k, d):
    table = a_table(d, 71, d)
    ids = np.random.default_rng(k).permutation(71)[:k].astype(np.uint32)
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
@settings(max_examples=50)
def test_equals_the_reference_for_any_ids_even_ones_the_table_lacks(gpus, seed, n, d, ids, width):
    table, numbers = a_table(seed, n, d), np.uint32(ids)
    assert_same(run(gpus(width), table, numbers), expected(table, numbers))


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


def test_equals_the_golden_fixture(gpus):
    golden = load(Path(__file__).parent / "golden", "get_rows")
    assert_same(run(gpus(832), golden["table"], golden["ids"]), golden["rows"])


def test_writes_nothing_past_its_rows(gpus):
    gpu, table = gpus(1024), a_table(3, 9, 40)
    out = gpu.empty((64, 40))
    GetRows(gpu)(gpu.tensor(table), gpu.tensor(np.uint32([8, 9, 0])), type(out)(out.buffer, (3, 40), out.dtype))
    gpu.sync()
    assert np.isnan(out.numpy()[3:]).all(), "rows past the last were written"
    assert (out.numpy()[3:].view(np.uint32) != POISON).all()


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
