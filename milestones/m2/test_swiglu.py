"""The spec of swiglu. Source: Shazeer, GLU Variants Improve Transformer (2020), eq. 5, with β = 1 (SiLU)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal import health
from metal.tensor import Tensor
from milestones.m2.swiglu import SwiGlu
from reference.compare import assert_close
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.swiglu import MISTAKES
from reference.swiglu import swiglu
from reference.tolerance import EPSILON, EXTRA, TINY


@watched("swiglu")
def run(gpu, gate, up):
    """The product; the memory after it, where an unguarded tail would land, must be as poisoned as before."""
    room = gpu.empty((gate.size + 1024,))
    y = SwiGlu(gpu)(gpu.tensor(gate), gpu.tensor(up), Tensor(room.buffer, gate.shape, room.dtype))
    gpu.sync()
    assert np.isnan(room.numpy()[gate.size :]).all(), "elements past the last were written"
    return y.numpy()


def expected(gate, up):
    """(5 + (3 + 2|gate|) · (1 − σ(gate))) ε of the result: fast math's exp(x) may be off by 3 + 2|x| units in the last place,
    and of that the share 1 − σ reaches the sigmoid. The 5 are one sum, one division, two products and their roundings.

    Metal's table for fast math gives exp(x) 3 + ⌊|2x|⌋ ulp; 1 − σ(g) is the derivative of 1 / (1 + e), relative to both.
    An exp below the smallest normal number may be flushed to zero.
    """
    g, u = torch.from_numpy(gate).double(), torch.from_numpy(up).double()
    y, size = swiglu(g, u).numpy(), g.abs().clamp(max=104).numpy()
    share = torch.sigmoid(-g).numpy()
    relative = (EXTRA["swiglu"] + (3 + 2 * size) * share) * EPSILON[np.dtype(np.float32)]
    return y.astype(np.float32), relative * np.abs(y) + TINY * (1 + size * np.abs(up))


def gates(seed, shape, scale=3.0):
    """Gates of both signs with planted zeros, large values where exp over- and underflows, and a subnormal."""
    rng = np.random.default_rng(seed)
    gate, up = (rng.standard_normal(shape).astype(np.float32) for _ in "gu")
    gate *= np.float32(scale)
    planted = np.float32([0, 40, -40, 87, -87, 90, -90, 104, -104, 200, -200, 1e-40, -0.0])
    flat = gate.reshape(-1)
    places = rng.permutation(flat.size)[: min(len(planted), flat.size // 2)]
    flat[places] = rng.permutation(planted)[: len(places)]
    return gate, up


def test_a_gate_worked_by_hand(gpu):
    """σ(2) = 1 / (1 + e⁻²) = 0.880797: 2 · 0.880797 · 3 = 5.284782, and −2 · 0.119203 · 3 = −0.715218."""
    y = run(gpu, np.float32([[0, 2, -2]]), np.float32([[5, 3, 3]]))
    assert_close(y, np.float32([[0, 5.284782, -0.715218]]), 3e-6)


@pytest.mark.parametrize("shape", [(33, 33), (1, 1), (1, 31), (2, 32), (1, 1025), (5, 1536)], ids=str)
def test_equals_the_reference(gpu, shape):
    """Sizes around a SIMD-group and a threadgroup; among the gates are zeros, a subnormal and numbers as far as ±200."""
    gate, up = gates(shape[1], shape)
    y, allowed = expected(gate, up)
    assert np.abs(y).max() > 0.001, "the expected output must not be trivial"
    assert_close(run(gpu, gate, up), y, allowed)


def test_equals_torch_functional(gpu):
    """An oracle nobody here wrote: torch.nn.functional.silu(gate) · up in float32."""
    gate, up = gates(7, (5, 576))
    y = torch.nn.functional.silu(torch.from_numpy(gate)) * torch.from_numpy(up)
    assert_close(run(gpu, gate, up), y, expected(gate, up)[1] * 2)  # both sides round


def test_equals_the_golden_fixture(gpu):
    """torch.nn.functional.silu(gate) · up, made once (golden/manifest.json says with what)."""
    golden = load(Path(__file__).parent / "golden", "swiglu")
    allowed = expected(golden["gate"], golden["up"])[1] * 2  # both sides round
    assert_close(run(gpu, golden["gate"], golden["up"]), golden["y"], allowed)


def test_the_reference_in_float32_is_well_inside_the_bound():
    """The bound is no trap: plain float32, which rounds as a careful kernel does, needs at most half of it."""
    gate, up = gates(8, (3, 67))
    y, allowed = expected(gate, up)
    assert_close(swiglu(torch.from_numpy(gate), torch.from_numpy(up)), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Nor is it a hole: each known mistake is off by more than eight times what is allowed."""
    gate, up = gates(8, (3, 67))
    y, allowed = expected(gate, up)
    wrong = MISTAKES[mistake](gate, up)
    assert not (np.abs(wrong - y) <= 8 * allowed).all(), f"these inputs do not tell: {mistake}"


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 5),
    n=st.integers(1, 700),
    scale=st.sampled_from([1e-3, 1.0, 30.0, 1e4]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, rows=3, n=341, scale=30.0, width=1024)
def test_equals_the_reference_for_any_shape_scale_and_width(gpus, seed, rows, n, scale, width):
    gate, up = gates(seed, (rows, n), scale)
    assert_close(run(gpus(width), gate, up), *expected(gate, up))


@examples(20)
@given(g=st.floats(-(2.0**100), 2.0**100, width=32), u=st.floats(-100, 100, width=32), width=st.sampled_from(WIDTHS))
@example(g=2.0**100, u=3.0, width=32)
@example(g=-(2.0**100), u=1.0, width=32)
@example(g=-88.75, u=1.0, width=32)  # where e^−g passes the largest float32
def test_no_gate_however_large_overflows(gpus, g, u, width):
    """Fast math must meet no infinity: a far negative gate closes (0), a far positive one lets gate · up through."""
    gate, up = np.float32([[1, g, -1]]), np.float32([[u, u, 2]])
    y = run(gpus(width), gate, up)
    assert_close(y, *expected(gate, up))
    if g > 20:
        assert_close(y[:, 1], (gate * up)[:, 1], EXTRA["swiglu"] * EPSILON[np.dtype(np.float32)] * abs(g * u) + TINY)


def test_exp_is_never_asked_for_more_than_float32_holds(gpus, monkeypatch):
    """1 / (1 + e^−g) is infinite on the way for g = −200, and 0 in the end; fast math may make anything else of it.

    The portable device looks for infinities here ("fast-math:"); where there are no checks, only the result is compared.
    """
    gpus(64)  # "not run here" without a device
    monkeypatch.setattr(health, "spec_checks", "bounds,fast-math")
    gate, up = gates(5, (2, 40))
    assert {-200, 200} <= set(gate.ravel().tolist())
    assert_close(run(health.spec_gpu(64), gate, up), *expected(gate, up))


@pytest.mark.parametrize("zero", ["gate", "up"])
def test_a_gate_or_an_up_of_zero_gives_zero(gpus, zero):
    """A closed gate lets nothing through, an open one only what there is; between the zeros the others go on as ever."""
    gate, up = gates(3, (2, 99))
    (gate if zero == "gate" else up)[:, ::2] = 0
    y = run(gpus(256), gate, up)
    assert_close(y, *expected(gate, up))
    assert (y[:, ::2] == 0).all()


@examples(15)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200), width=st.sampled_from(WIDTHS))
@example(seed=0, n=33, width=64)
def test_what_a_gate_lets_through_and_what_its_opposite_holds_back_make_the_whole(gpus, seed, n, width):
    """σ(g) + σ(−g) = 1, so y(g, u) − y(−g, u) = g · u: any other function in the sigmoid's place breaks it."""
    gate, up = gates(seed, (2, n))
    product = gate.astype(np.float64) * up
    allowed = expected(gate, up)[1] + expected(-gate, up)[1] + 2 * EPSILON[np.dtype(np.float32)] * np.abs(product)
    through, back = run(gpus(width), gate, up), run(gpus(width), -gate, up)
    assert_close(through - back, product.astype(np.float32), allowed)


@pytest.mark.parametrize("target", ["gate", "up"])
def test_out_may_be_an_input(gpu, target):
    gate, up = gates(4, (3, 700))
    tensors = {"gate": gpu.tensor(gate), "up": gpu.tensor(up)}
    y = SwiGlu(gpu)(tensors["gate"], tensors["up"], tensors[target])
    gpu.sync()
    assert y is tensors[target]
    assert_close(y.numpy(), *expected(gate, up))


@pytest.mark.parametrize(
    ("gate", "up", "out", "message"),
    [
        ((4,), (4,), None, "gate must have two dimensions"),
        ((2, 4), (2, 5), None, r"up has shape \(2, 5\), gate has \(2, 4\)"),
        ((2, 4), (2, 4), (4, 2), "out has shape"),
        ((2, 0), (2, 0), None, "must have from 1"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, gate, up, out, message):
    gpu = gpus(256)
    with pytest.raises(ValueError, match=message):
        SwiGlu(gpu)(gpu.empty(gate), gpu.empty(up), gpu.empty(out) if out else None)


def test_everything_must_be_float32(gpus):
    gpu = gpus(256)
    with pytest.raises(ValueError, match="up must be float32, got float16"):
        SwiGlu(gpu)(gpu.empty((2, 4)), gpu.empty((2, 4), np.float16))
