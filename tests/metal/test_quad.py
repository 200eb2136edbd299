"""Quad-group functions: those of SIMD-groups, four wide. Source: Metal Shading Language Specification 2.3, "Quad-group
functions"."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import one_in
from metal.source import WIDTHS
from tests.metal import lanes
from tests.metal.lanes import BRANCHES, KINDS, LANES, MIXED

FOUR = (-1, 4)


def down_by_quad(lane, size):
    """Quad q moves down by q % 4, which keeps the lanes that have nothing to take within their quad."""
    far = lane // 4 % 4
    return lane + np.where(lane % 4 + far < 4, far, 0)


QUAD = lanes.calls("quad_", 4, np.int32) | lanes.votings("quad_", 4)
# lanes and distances that differ from quad to quad, which simd_… would not allow
QUAD |= {
    "quad_broadcast(v, ushort(simd_lane / 4 % 4))": (
        lambda v, on, size: lanes.moved(lambda lane, n: lane // 4 * 4 + lane // 4 % 4, v, on, 32), False),
    "quad_shuffle_down(v, ushort(simd_lane / 4 % 4))": (lambda v, on, size: lanes.moved(down_by_quad, v, on, 32), False),
}  # fmt: skip
# One program: each branch in a kernel of its own, at a width of its own
BY_BRANCH = "".join(
    lanes.kernel(f"f{width}", width, "int", QUAD, condition, 4)
    for width, (condition, _) in zip(WIDTHS, BRANCHES.values(), strict=True)
)


@pytest.mark.parametrize("branch", one_in(3, BRANCHES))
def test_every_function_in_every_branch(run, branch):
    """Branches that whole SIMD-groups take, or single lanes of a quad: inactive lanes have no part and are not written."""
    width = WIDTHS[list(BRANCHES).index(branch)]
    lanes.check(run, BY_BRANCH, f"f{width}", QUAD, BRANCHES[branch][1], 4, np.int32)


@pytest.mark.parametrize("kind", one_in(2, ["char", "ushort", "half", "float"]))
def test_types_of_every_size(run, kind):
    table = {call: how for call, how in lanes.calls("quad_", 4, KINDS[kind]).items() if call[5:] not in lanes.AGAIN}
    lanes.check(run, lanes.kernel("f", 256, kind, table, MIXED[0], 4), "f", table, MIXED[1], 4, KINDS[kind])


@pytest.mark.parametrize(("kind", "n"), one_in(3, [("float", 2), ("ushort", 3), ("int", 4)]))
def test_vectors_component_by_component(run, kind, n):
    table = {call: how for call, how in lanes.calls("quad_", 4, KINDS[kind]).items() if call[5:] in lanes.FOR_VECTORS}
    assert len(table) == len(lanes.FOR_VECTORS)
    lanes.check(run, lanes.kernel("f", 256, kind, table, MIXED[0], 4, n), "f", table, MIXED[1], 4, KINDS[kind], n)


def test_sums_are_the_same_in_all_four_lanes(run):
    """Additions are rounded correctly (specification, "Numerical compliance"): 3 of them, in any order, err by 3·2⁻²⁴ of the
    sum of the absolute values at most. "broadcasts the result": the lanes agree to the bit."""
    rng = np.random.default_rng(3)
    x = (rng.standard_normal(LANES) * 10.0 ** rng.integers(-3, 4, LANES)).astype(np.float32)
    body = "kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = quad_sum(x[i]); }"
    got = run(body, LANES, x)[0].astype(float).reshape(FOUR)
    exact = x.astype(float).reshape(FOUR)
    assert (got == got[:, :1]).all()
    assert (np.abs(got[:, 0] - exact.sum(1)) <= 3 * 2.0**-24 * (1 + 2.0**-20) * np.abs(exact).sum(1)).all()


def test_a_vote_is_a_type_of_its_own(run):
    """The constructor masks all but four bits; all() asks for every lane, active or not."""
    body = """
    kernel void f(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]], uint q [[thread_index_in_quadgroup]]) {
        const quad_vote none, some(0x36), full(0xffu);
        uint seen = none.any() << 0 | some.any() << 1 | some.all() << 2 | full.all() << 3 | quad_vote(0xf0u).any() << 4;
        seen |= quad_vote::vote_t(some) << 5 | quad_is_helper_thread() << 9;
        if (q != 1) seen |= quad_ballot(true).all() << 10 | quad_all(true) << 11 | quad_vote::vote_t(quad_ballot(q != 2)) << 12;
        y[i] = seen;
    }
    """
    same = 1 << 1 | 1 << 3 | 6 << 5
    expected = np.where(np.arange(1024) % 4 != 1, same | 1 << 11 | 0b1001 << 12, same)
    assert run(body, 1024, np.zeros(1024, np.uint32))[0].tolist() == expected.tolist()


def test_quads_are_four_consecutive_threads(run):
    """The attributes agree with each other and with those of the SIMD-group, at every width, as uint and as ushort."""
    body = "".join(
        f"""
        [[max_total_threads_per_threadgroup({width})]]
        kernel void f{width}(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]],
                      uint t [[thread_position_in_threadgroup]], uint w [[threads_per_threadgroup]],
                      uint q [[thread_index_in_quadgroup]], ushort q16 [[thread_index_in_quadgroup]],
                      uint g [[quadgroup_index_in_threadgroup]], ushort g16 [[quadgroup_index_in_threadgroup]],
                      uint gs [[quadgroups_per_threadgroup]], uint ds [[dispatch_quadgroups_per_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]], uint s [[simdgroup_index_in_threadgroup]]) {{
            const bool ok = q == t % 4 && g == t / 4 && q16 == q && g16 == g && gs * 4 == w && ds == gs;
            y[i] = ok && g == s * 8 + lane / 4 ? w + q : 0;
        }}
        """
        for width in WIDTHS
    )
    for width in WIDTHS:
        threads = -(-5000 // width) * width
        y = run(body, 5000, np.zeros(threads, np.uint32), name=f"f{width}")[0]
        assert (y == width + np.arange(threads) % 4).all(), f"width {width}"
