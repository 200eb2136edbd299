"""SIMD-group functions. Source: Metal Shading Language Specification 2.3, "SIMD-group functions"."""

from __future__ import annotations

import numpy as np
import pytest

import metal
from conftest import one_in
from metal.portable.frontend import check
from metal.portable.translate import lower
from metal.source import WIDTHS
from tests.metal import lanes
from tests.metal.conftest import HEAD
from tests.metal.lanes import BRANCHES, KINDS, LANES, MIXED, THREADS

INT = lanes.calls("simd_", 32, np.int32)
# One program: each branch in a kernel of its own, at a width of its own
BY_BRANCH = "".join(
    lanes.kernel(f"f{width}", width, "int", INT, condition, 32)
    for width, (condition, _) in zip(WIDTHS, BRANCHES.values(), strict=True)
)
# One program: at every width, all the branches, chosen when it runs. The functions that look at which lanes are active:
AWARE = {call: INT[call] for call in INT if not call.startswith("simd_shuffle") and "product" not in call}
AWARE |= lanes.votings("simd_", 32)
CHOSEN = " || ".join(f"(branch == {b} && ({condition}))" for b, (condition, _) in enumerate(BRANCHES.values()))
BY_WIDTH = "".join(lanes.kernel(f"f{width}", width, "int", AWARE, CHOSEN, 32) for width in WIDTHS)


@pytest.mark.parametrize("branch", one_in(3, BRANCHES))
def test_every_function_in_every_branch(run, branch):
    """Branches that whole SIMD-groups take, or single lanes: inactive lanes have no part and are not written."""
    width = WIDTHS[list(BRANCHES).index(branch)]
    lanes.check(run, BY_BRANCH, f"f{width}", INT, BRANCHES[branch][1], 32, np.int32)


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_and_branch(run, width, branch):
    number = list(BRANCHES).index(branch)
    lanes.check(run, BY_WIDTH, f"f{width}", AWARE, BRANCHES[branch][1], 32, np.int32, branch=number)


@pytest.mark.parametrize("kind", one_in(3, [kind for kind in KINDS if kind != "int"]))
def test_every_type(run, kind):
    table = {call: how for call, how in lanes.calls("simd_", 32, KINDS[kind]).items() if call[5:] not in lanes.AGAIN}
    lanes.check(run, lanes.kernel("f", 256, kind, table, MIXED[0], 32), "f", table, MIXED[1], 32, KINDS[kind])


@pytest.mark.parametrize(("kind", "n"), one_in(3, [("ushort", 3), ("float", 2), ("int", 4)]))
def test_vectors_component_by_component(run, kind, n):
    """One or two arguments; that every type has vectors of every size is tested below."""
    table = {call: how for call, how in lanes.calls("simd_", 32, KINDS[kind]).items() if call[5:] in lanes.FOR_VECTORS}
    assert len(table) == len(lanes.FOR_VECTORS)
    lanes.check(run, lanes.kernel("f", 256, kind, table, MIXED[0], 32, n), "f", table, MIXED[1], 32, KINDS[kind], n)


@pytest.mark.parametrize("kind", ["float", "half"])
def test_sums_of_any_numbers_are_as_good_as_one_addition_a_lane(run, kind):
    """Numbers of very different size, which cancel. Additions are rounded correctly (specification, "Numerical compliance"), so
    in any order the error of n of them is at most n·u times the sum of the absolute values."""
    dtype, unit = KINDS[kind], {"float": 2.0**-24, "half": 2.0**-11}[kind]
    rng = np.random.default_rng(5)
    x = (rng.standard_normal(LANES) * np.exp(rng.uniform(-6, 6 if kind == "float" else 3, LANES))).astype(dtype)
    x[::32], x[1::32] = x[2::32] * 8, -x[2::32] * 8
    body = f"""
    kernel void f(device const {kind} *x [[buffer(0)]], device {kind} *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {{
        y[i] = simd_sum(x[i]); y[i + {LANES}] = simd_prefix_inclusive_sum(x[i]); y[i + {2 * LANES}] = simd_max(x[i]);
        y[i + {3 * LANES}] = simd_min(x[i]);
        if (i % 32 != 1) {{ y[i + {4 * LANES}] = simd_sum(x[i]); y[i + {5 * LANES}] = simd_prefix_inclusive_sum(x[i]); }}
    }}
    """
    got = run(body, LANES, x, np.full((6, LANES // 32, 32), np.nan, dtype))[1]
    total, before, most, least, some, some_before = got.astype(float)
    v = x.astype(float).reshape(-1, 32)
    bound = 31 * unit * np.abs(v).sum(1, keepdims=True) * (1 + 31 * unit)
    assert (np.abs(total - v.sum(1, keepdims=True)) <= bound).all()
    assert (np.abs(before - np.cumsum(v, 1)) <= bound).all()
    assert (most == v.max(1, keepdims=True)).all() and (least == v.min(1, keepdims=True)).all()
    assert (total == total[:, :1]).all(), "every lane has the same sum"
    w, on = np.where(np.arange(32) == 1, 0, v), np.arange(32) != 1
    assert (np.abs(some - w.sum(1, keepdims=True)) <= bound)[:, on].all()
    assert (np.abs(some_before - np.cumsum(w, 1)) <= bound)[:, on].all()


def test_vectors_in_both_arms_are_stored_where_each_arm_stores(run):
    """A device's compiler joins stores that end both arms, and once took the first arm's place for every lane's."""
    body = """
    kernel void f(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint lane [[thread_index_in_simdgroup]]) {
        const float2 a = float2(x[i], x[i + 1024]);
        if (lane < 7) {
            const float2 r = simd_sum(a); y[28 * 1024 + i] = r.x; y[29 * 1024 + i] = r.y;
        } else {
            const float2 r = lane % 4 == 1 ? simd_min(a) : simd_max(a); y[30 * 1024 + i] = r.x; y[31 * 1024 + i] = r.y;
        }
    }
    """
    x, lane = np.random.default_rng(0).integers(-9, 10, (2, 32, 32)).astype(np.float32), np.arange(32)
    got = run(body, 1024, x, np.full((32, 32, 32), np.nan, np.float32))[1]
    first, ones, others = lane < 7, (lane >= 7) & (lane % 4 == 1), (lane >= 7) & (lane % 4 != 1)
    expected = np.full((4, 32, 32), np.nan, np.float32)
    for c in range(2):
        expected[c][:, first] = x[c][:, first].sum(1, keepdims=True)
        expected[2 + c][:, ones] = x[c][:, ones].min(1, keepdims=True)
        expected[2 + c][:, others] = x[c][:, others].max(1, keepdims=True)
    assert np.array_equal(got[28:], expected, equal_nan=True) and np.isnan(got[:28]).all()


def test_a_vote_is_a_type_of_its_own(run):
    """all() asks for every lane, active or not: unlike simd_all, which asks the active ones."""
    body = """
    kernel void f(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
        const simd_vote none, some(6), full(0xffffffffu);
        uint seen = none.any() << 0 | some.any() << 1 | some.all() << 2 | full.all() << 3 | simd_ballot(lane > 40).any() << 4;
        seen |= simd_ballot(true).all() << 5 | simd_is_helper_thread() << 6;
        if (lane != 3) {
            const simd_vote::vote_t mask = (simd_vote::vote_t)simd_active_threads_mask();
            seen |= simd_ballot(true).all() << 7 | simd_all(true) << 8 | simd_ballot(lane == 5).any() << 9;
            seen |= popcount(uint(mask)) << 10;
            y[i] = seen | (sizeof(simd_vote::vote_t) << 16);
        }
    }
    """
    expected = np.where(np.arange(1024) % 32 != 3, 1 << 1 | 1 << 3 | 1 << 5 | 1 << 8 | 1 << 9 | 31 << 10 | 8 << 16, 0)
    assert run(body, 1024, np.zeros(1024, np.uint32))[0].tolist() == expected.tolist()


def test_a_loop_whose_length_differs_from_lane_to_lane(run):
    """Lanes leave the loop one by one; simd_sum counts those that are still in it, the prefix those of them below."""
    body = """
    kernel void f(device int *y [[buffer(0)]], uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
        int sum = 0, below = 0, next = 0;
        for (uint n = 0; n <= lane; n++) {
            sum += simd_sum(1);
            below += simd_prefix_exclusive_sum(1);
            next += simd_shuffle_down(lane, 1) * 100 + simd_broadcast_first(n);
        }
        y[i] = sum; y[i + 2048] = below; y[i + 4096] = next;
    }
    """
    got = run(body, 2048, np.zeros((3, 64, 32), np.int32))[0]
    assert (got[0] == [sum(32 - n for n in range(lane + 1)) for lane in range(32)]).all()
    assert (got[1] == [sum(lane - n for n in range(lane + 1)) for lane in range(32)]).all()
    assert (got[2] == [sum(min(lane + 1, 31) * 100 + n for n in range(lane + 1)) for lane in range(32)]).all()


def overloads(family: str, kind: str) -> str:
    """A function with every call on a type and its vectors; it is only read if the result is of the same type."""
    body = ""
    for v in (kind, *(f"{kind}{n}" for n in (2, 3, 4))):
        each = (f"same(v, {call}); " for call in lanes.calls(family, 32, KINDS[kind]))
        body += f"{{ const {v} v = {v}(1), f = {v}(1); {''.join(each)} }}\n"
    return f"void of_{kind}(ushort far, ushort lane) {{ {body} }}\n"


@pytest.mark.parametrize("family", ["simd_", "quad_"])
def test_every_type_has_every_function_and_gets_its_own_type_back(family):
    check(lower(f"{HEAD}template <typename T> void same(T x, T y) {{}}\n" + "".join(overloads(family, kind) for kind in KINDS)))


REFUSED = {
    "simd_sum(long(1))": "call to 'simd_sum' is ambiguous",
    "simd_shuffle_down(ulong(1), 1)": "call to 'simd_shuffle_down' is ambiguous",
    "quad_max(ulong(1))": "call to 'quad_max' is ambiguous",
    "simd_and(1.0f)": "call to 'simd_and' is ambiguous",
    "simd_xor(float2(1))": "no matching function for call to 'simd_xor'",
    "uint(simd_ballot(true))": "cannot convert",
    "simd_ballot(true) + 1": "invalid operands",
    "simd_shuffle_and_fill_up(1.0f, 2.0f, 1)": "came with Metal 2.4; this is compiled as 2.3",
    "quad_shuffle_and_fill_down(1, 2, 1, 2)": "came with Metal 2.4; this is compiled as 2.3",
    "sub_group_shuffle(1, 2)": "'sub_group_shuffle' is OpenCL's",
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_metal_lacks_is_refused_at_its_place(call):
    """64-bit integers and bool have no SIMD-group functions; a vote must be cast; filling shuffles came with Metal 2.4."""
    with pytest.raises(metal.error) as caught:
        check(lower(f"{HEAD}void f() {{\n    auto x = {call};\n}}\n"))
    assert REFUSED[call] in str(caught.value) and ":4:" in str(caught.value)


def test_threads_past_the_end_take_no_part(run):
    """The dispatch is rounded up to whole threadgroups; lanes that have returned are inactive."""
    body = f"""
    kernel void f(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]]) {{
        if (i >= {THREADS}) return;
        y[i] = simd_sum(1u);
    }}
    """
    y = run(body, THREADS, np.zeros(LANES, np.uint32))[0]
    assert (y[: LANES - 32] == 32).all() and (y[LANES - 32 : THREADS] == 21).all() and (y[THREADS:] == 0).all()
