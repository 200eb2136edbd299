"""The spec of rope. Source: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding (2021), eq. 15 and 16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import WIDTHS, examples
from metal.tensor import Tensor
from milestones.m2.rope import Rope
from reference.compare import assert_close, assert_same
from reference.diagnosis import watched
from reference.golden import load
from reference.mistakes.rope import MISTAKES
from reference.rope import rope
from reference.tolerance import EPSILON, sum_bound


@watched("rope")
def run(gpu, x, start, base=1e5, halves=False, scale=1.0):
    """The turned heads; the memory after them, where an unguarded tail would land, must be as poisoned as before."""
    room = gpu.empty((x.size + 2048,))
    out, options = Tensor(room.buffer, x.shape, room.dtype), {"base": base, "halves": halves, "scale": scale}
    y = Rope(gpu)(gpu.tensor(x), out, start=start, **options)
    gpu.sync()
    assert np.isnan(room.numpy()[x.size :]).all(), "elements past the last were written"
    return y.numpy()


@watched("rope")
def run_in_place(gpu, x, start, base=1e5, halves=False):
    """The same with x as the output."""
    tensor = gpu.tensor(x)
    assert Rope(gpu)(tensor, tensor, start=start, base=base, halves=halves) is tensor
    gpu.sync()
    return tensor.numpy()


def expected(x, start, base=1e5):
    """11 ε of |a| + |b|, the two elements of a pair: the angle, at most π, is rounded (5 ε), sine and cosine are good to 4
    units in the last place, two products and their sum round. It holds at every position: a float32 angle would err by far
    more.

    (The count is in reference/tolerance.py. ε = 2⁻²³ is the spacing of float32 numbers at 1.)
    """
    y = rope(torch.from_numpy(x).double(), start, base).numpy()
    pairs = np.abs(x.astype(np.float64)).reshape(*x.shape[:2], -1, 2).sum(-1)
    return y.astype(np.float32), sum_bound("rope", 0, np.repeat(pairs, 2, axis=-1))


def heads(seed, shape):
    """Normal values, outliers planted, one of a pair much larger than the other, a pair of zeros."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(np.float32)
    x.reshape(-1)[:: max(2, x.size // 5)] *= 100
    if x.size > 8:
        x.reshape(-1)[4:6] = 0
    return x


def test_a_head_worked_by_hand(gpu):
    """At position 1 with base 10000 and d = 4 the pairs turn by 1 and by 10000^(−1/2) = 0.01 radians."""
    y = run(gpu, np.float32([[[1, 0, 1, 0]]]), start=1, base=10000.0)
    assert_close(y, np.float32([[[np.cos(1), np.sin(1), np.cos(0.01), np.sin(0.01)]]]), 1e-6)


@pytest.mark.parametrize(
    ("shape", "start"),
    [((5, 2, 62), 1000), ((1, 1, 2), 5), ((1, 9, 64), 8191), ((33, 3, 64), 0), ((3, 31, 6), 77), ((2, 1, 256), 8190)],
    ids=str,
)
def test_equals_the_reference(gpu, shape, start):
    """From the first position to the default model's last ones, 8190 and 8191, where an angle is thousands of radians."""
    x = heads(start, shape)
    y, allowed = expected(x, start)
    assert np.abs(y - x).max() > 0.1, "the expected output must not be trivial"
    assert_close(run(gpu, x, start), y, allowed)


def test_equals_rotation_matrices_of_numpy(gpu):
    """An oracle without complex numbers or torch: each pair times the 2 × 2 matrix of eq. 13, angles from exact integers."""
    x, start = heads(3, (4, 2, 16)), 4093
    y = np.empty_like(x)
    for t, h, i in np.ndindex(4, 2, 8):
        angle = np.longdouble(start + t) * np.longdouble(1e5) ** (-np.longdouble(2 * i) / 16)
        c, s = np.cos(angle), np.sin(angle)
        y[t, h, 2 * i : 2 * i + 2] = np.array([[c, -s], [s, c]]) @ x[t, h, 2 * i : 2 * i + 2]
    assert_close(run(gpu, x, start), y, expected(x, start)[1])


@pytest.mark.parametrize("start", [0, 4000])
def test_equals_the_golden_fixture(gpu, start):
    """transformers' rotary embedding, made once (golden/manifest.json says with what), within what it errs itself.

    Its angles are float32: a power (ε), a reciprocal (ε/2) and a product (ε/2) make 2 ε of the angle; sine and products, 4 ε.
    """
    golden = load(Path(__file__).parent / "golden", "rope")
    x, epsilon = golden["x"], EPSILON[np.dtype(np.float32)]
    tokens, _, d = x.shape
    angles = np.outer(np.arange(start, start + tokens), 1e5 ** (-np.arange(0, d, 2) / d)).repeat(2, axis=1)[:, None]
    pairs = np.abs(x).reshape(*x.shape[:2], -1, 2).sum(-1).repeat(2, axis=-1)
    allowed = expected(x, start)[1] + (2 * angles + 4) * epsilon * pairs
    assert_close(run(gpu, x, start), golden[f"y{start}"], allowed)


def test_the_reference_in_float32_is_well_inside_the_bound():
    """The bound is no trap: plain float32, which rounds as a careful kernel does, needs at most half of it."""
    x = heads(8, (3, 2, 62))
    y, allowed = expected(x, 8000)
    assert_close(rope(torch.from_numpy(x), 8000, 1e5), y, allowed / 2)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_known_mistakes_are_well_outside_the_bound(mistake):
    """Nor is it a hole: each known mistake is off by more than eight times what is allowed."""
    x = heads(8, (3, 2, 62))
    y, allowed = expected(x, 8000)
    wrong = MISTAKES[mistake](x, 8000, scale=1.25)
    assert not (np.abs(wrong - 1.25 * y) <= 8 * 1.25 * allowed).all(), f"these inputs do not tell: {mistake}"


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 9),
    count=st.integers(1, 5),
    half=st.integers(1, 40),
    start=st.one_of(st.integers(0, 8192), st.integers(0, 2**31)),
    base=st.sampled_from([1.0, 500.0, 1e4, 1e5, 1e6]),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, tokens=2, count=1, half=32, start=2**31, base=1e5, width=32)  # float angles are 256 radians apart there
def test_equals_the_reference_at_any_position_base_and_width(gpus, seed, tokens, count, half, start, base, width):
    x = heads(seed, (tokens, count, 2 * half))
    y, allowed = expected(x, start, base)
    drift = (start + tokens) * 2.0**-51 * np.abs(x).max()  # float64 angles, on both sides
    assert_close(run(gpus(width), x, start, base), y, allowed + drift)


def test_position_zero_changes_nothing(gpus):
    """An angle of 0 turns nothing: the first token comes out as it went in, bit for bit. The second does not."""
    x = heads(1, (2, 4, 64))
    y = run(gpus(64), x, start=0)
    assert_same(y[0], x[0])
    assert_close(y, *expected(x, 0))
    assert np.abs(y[1] - x[1]).max() > 0.1, "token 1 must be turned"


def test_a_token_is_turned_by_its_own_position(gpus):
    """Prefill of many tokens and decode of one must agree bit for bit: token t of a run from s is a run of one from s + t."""
    x = heads(2, (6, 3, 10))
    together = run(gpus(256), x, start=700)
    assert_close(together, *expected(x, 700))
    for t in range(6):
        assert_same(run(gpus(256), x[t : t + 1], start=700 + t), together[t : t + 1], what=f"token {t} alone")


@examples(25)
@given(seed=st.integers(0, 2**32 - 1), start=st.integers(0, 8192), width=st.sampled_from(WIDTHS))
@example(seed=0, start=8192, width=448)
def test_keeps_the_length_of_every_pair(gpus, seed, start, width):
    """A rotation: |y pair| = |x pair|, within the bound of its two elements (√2 of one's)."""
    x = heads(seed, (3, 2, 16))
    y, (right, bound) = run(gpus(width), x, start), expected(x, start)
    before, after = (np.linalg.norm(v.astype(np.float64).reshape(3, 2, 8, 2), axis=-1) for v in (x, y))
    assert_close(after, before, np.sqrt(2) * bound[..., ::2])
    assert_close(y, right, bound)  # turning nothing keeps lengths, too


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    distance=st.integers(0, 300),
    near=st.integers(0, 100),
    far=st.integers(4000, 8000),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, distance=1, near=0, far=8000, width=64)
def test_q_dot_k_depends_on_the_distance_alone(gpus, seed, distance, near, far, width):
    """What RoPE is for (eq. 16): the score of a query and a key is the same wherever in the text the two stand."""
    rng, gpu = np.random.default_rng(seed), gpus(width)
    q, k = (rng.standard_normal((1, 1, 64)).astype(np.float32) for _ in "qk")
    scores = []
    for position in (near, far):
        turned_q, turned_k = run(gpu, q, position + distance), run(gpu, k, position)
        scores.append(float(np.vdot(turned_q.astype(np.float64), turned_k.astype(np.float64))))
    (q_bound, k_bound), size = (expected(v, near)[1] for v in (q, k)), np.abs
    allowed = 2 * float((size(q) + q_bound).ravel() @ k_bound.ravel() + (size(k) + k_bound).ravel() @ q_bound.ravel())
    allowed *= np.sqrt(2)  # a turned element may be as large as its pair is long
    exact = float(np.vdot(expected(q, distance)[0].astype(np.float64), k.astype(np.float64)))  # the key at 0, not turned
    assert abs(scores[0] - exact) <= allowed, f"{scores[0]} near, {exact} at position 0, allowed {allowed}"
    assert abs(scores[0] - scores[1]) <= allowed, f"{scores[0]} near, {scores[1]} far, allowed {allowed}"
    assert allowed < 2000 * EPSILON[np.dtype(np.float32)] * 64, "the bound itself must stay small"


def test_neighbours_pair_up_not_halves(gpus):
    """GGUF's Llama order: element 1 turns with element 0, not with element d/2, as in Hugging Face's files."""
    x = np.zeros((1, 1, 8), np.float32)
    x[0, 0, 0] = 1
    y = run(gpus(32), x, start=3)
    assert np.flatnonzero(y).tolist() == [0, 1]
    assert_close(y, *expected(x, 3))


def apart(x):
    """Neighbours (2i, 2i + 1) of each head to places (i, i + d/2)."""
    return np.concatenate([x[..., 0::2], x[..., 1::2]], axis=-1)


def test_halves_pair_up_where_they_are_asked_to(gpu):
    """Hugging Face's order: element 1 turns with element 1 + d/2. Worked by hand at position 1, base 10000, d = 4."""
    y = run(gpu, np.float32([[[1, 1, 0, 0]]]), start=1, base=10000.0, halves=True)
    assert_close(y, np.float32([[[np.cos(1), np.cos(0.01), np.sin(1), np.sin(0.01)]]]), 1e-6)


@examples(25)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 9),
    count=st.integers(1, 5),
    half=st.integers(1, 40),
    start=st.integers(0, 8192),
    width=st.sampled_from(WIDTHS),
)
@example(seed=0, tokens=2, count=3, half=17, start=8192, width=32)
def test_both_pairings_turn_alike_bit_for_bit(gpus, seed, tokens, count, half, start, width):
    """The same rows in the other order give the same results in the other order."""
    x = heads(seed, (tokens, count, 2 * half))
    assert_same(run(gpus(width), apart(x), start, halves=True), apart(run(gpus(width), x, start)))
    expected_halves = rope(torch.from_numpy(apart(x)).double(), start, 1e5, halves=True).numpy()
    assert_close(
        run(gpus(width), apart(x), start, halves=True), expected_halves.astype(np.float32), apart(expected(x, start)[1])
    )


@pytest.mark.parametrize("start", [0, 4000])
def test_halves_equal_the_golden_fixture(gpu, start):
    """transformers' own order. Its float32 angles err by 2 ε of the angle, its sine and products by 4 ε (see above)."""
    golden = load(Path(__file__).parent / "golden", "rope")
    x, epsilon = golden["x"], EPSILON[np.dtype(np.float32)]
    tokens, _, d = x.shape
    angles = np.outer(np.arange(start, start + tokens), 1e5 ** (-np.arange(0, d, 2) / d)).repeat(2, axis=1)[:, None]
    pairs = np.abs(x).reshape(*x.shape[:2], -1, 2).sum(-1).repeat(2, axis=-1)
    allowed = expected(x, start)[1] + (2 * angles + 4) * epsilon * pairs
    assert_close(run(gpu, apart(x), start, halves=True), apart(golden[f"y{start}"]), apart(allowed))


def test_factors_divide_the_frequencies(gpu):
    """Scaled RoPE, as Llama 3's: pair i turns factors[i] times as slowly. Pair 2 turns more than once a position: 1/0.01."""
    x, factors = heads(5, (7, 2, 8)), (1.0, 4.5, 0.01, 8.0)
    y = rope(torch.from_numpy(x).double(), 4000, 1e2, factors=factors).numpy().astype(np.float32)
    plain, allowed = expected(x, 4000, 1e2)
    assert (np.abs(y - plain).reshape(7, 2, 4, 2).max((0, 1, 3)) > 0.1).tolist() == [False, True, True, True]
    got = Rope(gpu)(gpu.tensor(x), start=4000, base=1e2, factors=factors)
    gpu.sync()
    assert_close(got.numpy(), y, allowed + 1e-8 * np.abs(x).max())  # float64 angles, on both sides
    for wrong in ((1.0, 2.0), (1.0, 1.0, 1.0, 0.0)):
        with pytest.raises(ValueError, match="factors"):
            Rope(gpu).table(1e2, 8, wrong)


def test_what_is_turned_is_multiplied_by_the_scale(gpu):
    """YaRN's attention factor (Peng et al., 2023), which transformers multiplies to cos and sin; one product more: 1 ε."""
    x = heads(6, (5, 2, 8))
    y = rope(torch.from_numpy(x).double(), 70, 1e5, scale=1.25).numpy().astype(np.float32)
    plain, allowed = expected(x, 70)
    assert_close(run(gpu, x, 70, scale=1.25), y, 1.25 * (12 / 11) * allowed)
    assert np.abs(y - plain).max() > 1, "the scale must matter"


def test_out_may_be_x(gpu):
    """Queries and keys are turned where they lie: both elements of a pair must be read before either is written."""
    x = heads(4, (9, 3, 64))
    assert_close(run_in_place(gpu, x, 50), *expected(x, 50))


@pytest.mark.parametrize(
    ("shape", "keywords", "message"),
    [
        ((4, 8), {}, "x must have three dimensions"),
        ((2, 4, 7), {}, "heads of x have 7 elements, which do not pair up"),
        ((2, 4, 8), {"start": -1}, "start must be from 0 to 2³² − tokens, got -1"),
        ((2, 4, 8), {"start": 2**32 - 1}, "start must be from 0"),
        ((2, 4, 8), {"base": 0.5}, "base must be at least 1, got 0.5"),
        ((0, 4, 8), {}, "must have from 1"),
        ((2, 4, 8), {"out": (4, 2, 8)}, "out has shape"),
    ],
)
def test_a_misfit_is_named_before_launch(gpus, shape, keywords, message):
    gpu = gpus(256)
    arguments = {"start": 0, "base": 1e4, **keywords}
    if "out" in arguments:
        arguments["out"] = gpu.empty(arguments["out"])
    with pytest.raises(ValueError, match=message):
        Rope(gpu)(gpu.empty(shape), **arguments)
