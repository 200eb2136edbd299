"""The spec of add. Source: He et al., Deep Residual Learning (2015), eq. 1: y = F(x) + x."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m2.add import Add
from reference.add import add
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.add import MISTAKES
from reference.tolerance import sum_bound


@watched("add")
def run(gpu, a, b):
    """The sum; the memory after it, where an unguarded tail would land, must be as poisoned as before."""
    room = gpu.empty((a.size + 1024,))
    y = Add(gpu)(gpu.tensor(a), gpu.tensor(b), Tensor(room.buffer, a.shape, room.dtype))
    gpu.sync()
    assert np.isnan(room.numpy()[a.size :]).all(), "elements past the last were written"
    return y.numpy()


def expected(a, b):
    """Half an ε of the sum: there is one rounding, that of the addition, and Metal rounds it correctly, even under fast math.

    (Metal Shading Language Specification, the table of accuracies, x + y. ε = 2⁻²³ is the spacing of float32 numbers at 1.)
    """
    y = add(torch.from_numpy(a).double(), torch.from_numpy(b).double()).numpy()
    return y.astype(np.float32), sum_bound("add", 0, y)


def addends(seed, shape):
    """Numbers of very different size, cancelling pairs, a pair that cancels to a subnormal, and signed zeros."""
    rng = np.random.default_rng(seed)
    a, b = ((rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 7, shape)).astype(np.float32) for _ in "ab")
    b.reshape(-1)[::5] = -a.reshape(-1)[::5] * np.float32(1 + 2.0**-20)
    if a.size > 2:
        a.reshape(-1)[1], b.reshape(-1)[1] = 1e-38, -0.9e-38
        a.reshape(-1)[2], b.reshape(-1)[2] = -0.0, 0.0
    return a, b


def test_a_sum_worked_by_hand(gpu):
    """1 + 0.25 and −2.5 + 2.5: no rounding, so equal bit for bit."""
    assert_same(run(gpu, np.float32([1, -2.5]), np.float32([0.25, 2.5])), np.float32([1.25, 0]))


@pytest.mark.parametrize("shape", [(33,), (1,), (31,), (32,), (1023,), (1025,), (7, 576), (2, 3, 5)], ids=str)
def test_equals_the_reference_and_torch(gpu, shape):
    """Against float64, and against an oracle nobody here wrote: torch.add in float32."""
    a, b = addends(len(shape), shape)
    y, allowed = expected(a, b)
    assert np.abs(y).max() > 0, "the expected output must not be trivial"
    got = run(gpu, a, b)
    assert_close(got, y, allowed)
    assert_close(got, torch.add(torch.from_numpy(a), torch.from_numpy(b)), allowed)


def test_equals_the_golden_fixture(gpu):
    """torch.add, made once (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "add")
    assert_close(run(gpu, golden["a"], golden["b"]), golden["y"], expected(golden["a"], golden["b"])[1])


def test_the_reference_in_float32_is_well_inside_the_bound():
    """The bound is no trap: plain float32, which rounds as a careful kernel does, needs at most half of it."""
    a, b = addends(8, (3, 67))
    y, allowed = expected(a, b)
    assert_close(add(torch.from_numpy(a), torch.from_numpy(b)), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Nor is it a hole: each known mistake is off by more than eight times what is allowed."""
    a, b = addends(8, (3, 67))
    y, allowed = expected(a, b)
    wrong = MISTAKES[mistake](a, b)
    assert not (np.abs(wrong - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


@examples(25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 2100), width=st.sampled_from(WIDTHS))
@example(seed=0, n=1025, width=1024)
def test_commutes_has_zero_and_equals_the_reference_at_any_size(gpus, seed, n, width):
    """a + b = b + a to the bit, and a + 0 = a: an input read at the wrong index, or twice, breaks one of them."""
    a, b = addends(seed, (n,))
    got = run(gpus(width), a, b)
    assert_close(got, *expected(a, b))
    assert_same(run(gpus(width), b, a), got)
    assert_close(run(gpus(width), a, np.zeros_like(a)), *expected(a, np.zeros_like(a)))


@pytest.mark.parametrize("target", ["a", "b"])
def test_out_may_be_an_addend(gpu, target):
    """The residual stream is added to in place: no copy of it is ever made."""
    a, b = addends(4, (3, 700))
    tensors = {"a": gpu.tensor(a), "b": gpu.tensor(b)}
    y = Add(gpu)(tensors["a"], tensors["b"], tensors[target])
    gpu.sync()
    assert y is tensors[target]
    assert_close(y.numpy(), *expected(a, b))


@pytest.mark.parametrize(
    ("a", "b", "out", "message"),
    [
        ((4,), (5,), None, r"a has shape \(4,\), b has \(5,\)"),
        ((2, 4), (4,), None, "b has"),
        ((2, 4), (2, 4), (8,), "out has shape"),
        ((0,), (0,), None, "must have from 1"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, a, b, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        Add(gpu)(gpu.empty(a), gpu.empty(b), gpu.empty(out) if out else None)


def test_everything_must_be_float32(gpus):
    gpu = gpus(256)
    with pytest.raises(ValueError, match="b must be float32, got uint32"):
        Add(gpu)(gpu.empty((4,)), gpu.empty((4,), np.uint32))
