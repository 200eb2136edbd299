"""SIMD-group functions on active lanes, barriers and threadgroup memory. Source: Metal Shading Language Specification, §6.9."""

from __future__ import annotations

import numpy as np
import pytest

WIDTHS = [32, 64, 256, 448, 832, 1024]
N = 1024 * 13  # 13 groups of 1024, 29.7 of 448: tails as well

# function → the same over one SIMD-group's active lanes: (values, lanes) → values of those lanes
REDUCTIONS = {
    "simd_sum(v)": lambda v: np.full_like(v, v.sum()),
    "simd_max(v)": lambda v: np.full_like(v, v.max()),
    "simd_min(v)": lambda v: np.full_like(v, v.min()),
    "simd_prefix_inclusive_sum(v)": np.cumsum,
    "simd_prefix_exclusive_sum(v)": lambda v: np.cumsum(v) - v,
    "simd_broadcast_first(v)": lambda v: np.full_like(v, v[0]),
    "(int)simd_all(v > 3)": lambda v: np.full_like(v, (v > 3).all()),
    "(int)simd_any(v > 90)": lambda v: np.full_like(v, (v > 90).any()),
    "(int)simd_is_first()": lambda v: np.arange(len(v)) == 0,
    "simd_and(v)": lambda v: np.full_like(v, np.bitwise_and.reduce(v)),
    "simd_or(v)": lambda v: np.full_like(v, np.bitwise_or.reduce(v)),
}
BRANCHES = {
    "every lane": ("true", lambda group, lane: np.ones(32, bool)),
    "whole SIMD-groups": ("i / 32 % 3 == 1", lambda group, lane: np.full(32, group % 3 == 1)),
    "odd lanes": ("lane % 2 == 1", lambda group, lane: lane % 2 == 1),
    "one lane": ("lane == 17", lambda group, lane: lane == 17),
    "by value": ("v % 5 < 2", None),
}


def source(expression, condition, width, kind="int"):
    return f"""
    [[max_total_threads_per_threadgroup({width})]]
    kernel void f{width}(device const {kind} *x [[buffer(0)]], device {kind} *y [[buffer(1)]], constant uint &n [[buffer(2)]],
                  uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {{
        if (i >= n) return;
        const {kind} v = x[i];
        if ({condition}) y[i] = {expression};
    }}
    """


def at_every_width(expression, condition):
    """One program with a kernel for each width: one compilation instead of six."""
    return "".join(source(expression, condition, width) for width in WIDTHS)


def values(seed=0):
    return np.random.default_rng(seed).integers(0, 100, N).astype(np.int32)


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("expression", REDUCTIONS)
def test_simd_functions_work_on_the_active_lanes(run, expression, branch):
    """In branches that whole SIMD-groups take, or single lanes: inactive lanes have no part and are not written."""
    condition, lanes_of = BRANCHES[branch]
    x, lane = values(), np.arange(32)
    expected = np.full(N, -7, np.int32)
    for group in range(N // 32):
        mine = slice(group * 32, group * 32 + 32)
        active = x[mine] % 5 < 2 if lanes_of is None else lanes_of(group, lane)
        if active.any():
            expected[mine][active] = REDUCTIONS[expression](x[mine][active])
    for width in WIDTHS:
        program, poison = at_every_width(expression, condition), np.full(N, -7, np.int32)
        got = run(program, N, x, poison, np.uint32([N]), name=f"f{width}")[1]
        assert (got == expected).all(), f"width {width}: {(got != expected).sum()} lanes differ"


@pytest.mark.parametrize("kind,dtype", [("float", np.float32), ("half", np.float16), ("uint", np.uint32)])
def test_reductions_of_every_type(run, kind, dtype):
    x = np.random.default_rng(1).integers(0, 16, N).astype(dtype)
    groups = x.reshape(-1, 32)
    for expression, per_group in (
        ("simd_sum(v)", groups.sum(1)),
        ("simd_max(v)", groups.max(1)),
        ("simd_min(v)", groups.min(1)),
    ):
        got = run(source(expression, "true", 256, kind), N, x, np.zeros(N, dtype), np.uint32([N]), name="f256")[1]
        assert (got == np.repeat(per_group.astype(dtype), 32)).all(), expression


SHUFFLES = {
    "simd_shuffle(v, ushort((lane * 7 + 3) % 32))": lambda v: v[(np.arange(32) * 7 + 3) % 32],
    "simd_shuffle_xor(v, 5)": lambda v: v[np.arange(32) ^ 5],
    "simd_broadcast(v, 9)": lambda v: np.full_like(v, v[9]),
    "lane >= 4 ? simd_shuffle_up(v, 4) : simd_shuffle_up(v, 4) * 0": lambda v: np.where(np.arange(32) >= 4, np.roll(v, 4), 0),
    "lane < 28 ? simd_shuffle_down(v, 4) : simd_shuffle_down(v, 4) * 0": lambda v: np.where(
        np.arange(32) < 28, np.roll(v, -4), 0
    ),
}


@pytest.mark.parametrize("expression", SHUFFLES)
def test_shuffles_in_whole_simd_groups(run, expression):
    """Results that the specification leaves open (up and down past the edge) are multiplied away."""
    if "?" in expression:
        head, rest = expression.split(" ? ")
        value, _ = rest.split(" : ")
        expression_of = f"({value}) * (({head}) ? 1 : 0)"
    else:
        expression_of = expression
    x = values(2)
    for width in WIDTHS:
        program, poison = at_every_width(expression_of, "i / 32 % 4 != 2"), np.full(N, -7, np.int32)
        got = run(program, N, x, poison, np.uint32([N]), name=f"f{width}")[1]
        for group, (row, v) in enumerate(zip(got.reshape(-1, 32), x.reshape(-1, 32), strict=True)):
            assert (row == (SHUFFLES[expression](v) if group % 4 != 2 else -7)).all(), f"width {width}, SIMD-group {group}"


def test_a_loop_whose_length_differs_from_lane_to_lane(run):
    """Lanes leave the loop one by one; simd_sum counts those that are still in it."""
    body = """
    kernel void f(device int *y [[buffer(0)]], uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
        int sum = 0;
        for (uint n = 0; n <= lane; n++) sum += simd_sum(1);
        y[i] = sum;
    }
    """
    expected = [sum(32 - n for n in range(lane + 1)) for lane in range(32)]
    assert (run(body, 2048, np.zeros(2048, np.int32))[0].reshape(-1, 32) == expected).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_positions_agree_with_each_other(run, width):
    body = f"""
    [[max_total_threads_per_threadgroup({width})]]
    kernel void f(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]], uint t [[thread_position_in_threadgroup]],
                  uint g [[threadgroup_position_in_grid]], uint w [[threads_per_threadgroup]], uint gs [[threadgroups_per_grid]],
                  uint lane [[thread_index_in_simdgroup]], uint s [[simdgroup_index_in_threadgroup]],
                  uint ss [[simdgroups_per_threadgroup]], uint sw [[threads_per_simdgroup]], uint ti [[thread_index_in_threadgroup]],
                  uint n [[threads_per_grid]], uint ew [[thread_execution_width]], ushort t16 [[thread_position_in_threadgroup]],
                  uint3 i3 [[thread_position_in_grid]], uint2 w2 [[threads_per_threadgroup]]) {{
        bool ok = i == g * w + t && t == s * sw + lane && ti == t && ss * 32 == w && sw == 32 && ew == 32 && gs * w == n;
        ok = ok && t16 == t && i3.x == i && i3.y == 0 && i3.z == 0 && w2.x == w && w2.y == 1;
        y[i] = ok ? w : 0;
    }}
    """
    threads = -(-5000 // width) * width
    assert (run(body, 5000, np.zeros(threads, np.uint32))[0] == width).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_threadgroup_memory_and_barriers(run, width):
    """A two-stage reduction: lanes to SIMD-groups, SIMD-groups to the threadgroup; then the array backwards, and a struct."""
    body = f"""
    struct Pair {{ float value; uint at; }};
    [[max_total_threads_per_threadgroup({width})]]
    kernel void f(device const float *x [[buffer(0)]], device float *sums [[buffer(1)]], device float *back [[buffer(2)]],
                  device uint *at [[buffer(3)]], uint i [[thread_position_in_grid]], uint t [[thread_position_in_threadgroup]],
                  uint w [[threads_per_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                  uint s [[simdgroup_index_in_threadgroup]], uint ss [[simdgroups_per_threadgroup]]) {{
        threadgroup float partial[32];
        threadgroup float tile[1024];
        threadgroup Pair pairs[1024];
        threadgroup float4 quads[8];
        tile[t] = x[i];
        pairs[t].value = x[i];
        pairs[t].at = i;
        if (t < 8) quads[t] = float4(t, 1, 2, 3);
        const float sum = simd_sum(x[i]);
        if (lane == 0) partial[s] = sum;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        float total = 0;
        for (uint n = 0; n < ss; n++) total += partial[n];
        sums[i] = total + quads[7].x - 7 + quads[3].w - 3;
        back[i] = tile[w - 1 - t];
        at[i] = pairs[w - 1 - t].at;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        tile[t] = back[i] + 1;
        threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
        back[i] = tile[w - 1 - t] - 1;
    }}
    """.replace("mem_flags::mem_device | mem_flags::mem_threadgroup", "mem_flags::mem_device")
    groups = 5
    x = np.random.default_rng(width).integers(-50, 50, groups * width).astype(np.float32)
    zero = np.zeros_like(x)
    _, sums, back, at = run(body, x.size, x, zero, zero, zero.astype(np.uint32))
    by_group = x.reshape(groups, width)
    assert (sums.reshape(groups, width) == by_group.sum(1, keepdims=True)).all()
    assert (back == x).all()
    assert (at.reshape(groups, width) == np.arange(x.size).reshape(groups, width)[:, ::-1]).all()
