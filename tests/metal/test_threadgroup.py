"""Threads' positions, barriers and threadgroup memory. Source: Metal Shading Language Specification 2.3, "Attributes for kernel
function input arguments" and "Synchronization functions"."""

from __future__ import annotations

import numpy as np
import pytest

from metal.source import WIDTHS


def at_every_width(kernel: str) -> str:
    """One program with a kernel f… for each width: one compilation instead of six."""
    return "".join(f"[[max_total_threads_per_threadgroup({width})]] kernel void f{width}{kernel}" for width in WIDTHS)


POSITIONS = at_every_width("""
   (device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]], uint t [[thread_position_in_threadgroup]],
    uint g [[threadgroup_position_in_grid]], uint w [[threads_per_threadgroup]], uint gs [[threadgroups_per_grid]],
    uint lane [[thread_index_in_simdgroup]], uint s [[simdgroup_index_in_threadgroup]],
    uint ss [[simdgroups_per_threadgroup]], uint sw [[thread_execution_width]], uint ti [[thread_index_in_threadgroup]],
    uint n [[threads_per_grid]], ushort t16 [[thread_position_in_threadgroup]]) {
    bool ok = i == g * w + t && t == s * sw + lane && ti == t && ss * 32 == w && sw == 32 && gs * w == n;
    ok = ok && t16 == t;
    y[i] = ok ? w : 0;
}
""")
# A two-stage reduction: lanes to SIMD-groups, SIMD-groups to the threadgroup; then the array backwards, and a struct.
MEMORY = "struct Pair { float value; uint at; };\n" + at_every_width("""
   (device const float *x [[buffer(0)]], device float *sums [[buffer(1)]], device float *back [[buffer(2)]],
    device uint *at [[buffer(3)]], uint i [[thread_position_in_grid]], uint t [[thread_position_in_threadgroup]],
    uint w [[threads_per_threadgroup]], uint lane [[thread_index_in_simdgroup]],
    uint s [[simdgroup_index_in_threadgroup]], uint ss [[simdgroups_per_threadgroup]]) {
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
}
""")


@pytest.mark.parametrize("width", WIDTHS)
def test_positions_agree_with_each_other(run, width):
    threads = -(-5000 // width) * width
    assert (run(POSITIONS, 5000, np.zeros(threads, np.uint32), name=f"f{width}")[0] == width).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_threadgroup_memory_and_barriers(run, width):
    groups = 5
    x = np.random.default_rng(width).integers(-50, 50, groups * width).astype(np.float32)
    zero = np.zeros_like(x)
    _, sums, back, at = run(MEMORY, x.size, x, zero, zero, zero.astype(np.uint32), name=f"f{width}")
    by_group = x.reshape(groups, width)
    assert (sums.reshape(groups, width) == by_group.sum(1, keepdims=True)).all()
    assert (back == x).all()
    assert (at.reshape(groups, width) == np.arange(x.size).reshape(groups, width)[:, ::-1]).all()


FLAGS = ["mem_none", "mem_device", "mem_threadgroup", "mem_texture", "mem_threadgroup_imageblock"]


def test_every_memory_flag_and_their_sums(run):
    """Each stage hands a value to the neighbour in device or threadgroup memory; the flags ask for the fences that it needs."""
    alone = " ".join(f"threadgroup_barrier(mem_flags::{flag}); simdgroup_barrier(mem_flags::{flag});" for flag in FLAGS)
    body = f"""
    kernel void f(device int *y [[buffer(0)]], device int *z [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint t [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {{
        threadgroup int tile[1024];
        {alone}
        y[i] = i;
        threadgroup_barrier(mem_flags::mem_device);
        const int a = y[i - t + (t + 33) % 1024];
        tile[t] = a;
        simdgroup_barrier(mem_flags::mem_threadgroup);
        const int b = tile[t - lane + (lane + 1) % 32];
        simdgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
        tile[t] = b;
        const mem_flags flags = mem_flags::mem_device | mem_flags::mem_threadgroup | mem_flags::mem_texture;
        threadgroup_barrier(flags);
        z[i] = tile[1023 - t];
    }}
    """
    t = np.arange(1024)
    a = (t + 33) % 1024
    b = a[t // 32 * 32 + (t + 1) % 32]
    y, z = run(body, 3072, np.zeros(3072, np.int32), np.zeros((3, 1024), np.int32))
    assert (y == np.arange(3072)).all()
    assert (z == np.arange(3)[:, None] * 1024 + b[::-1]).all()


def test_a_barrier_in_a_loop_that_every_thread_runs(run):
    """Thirteen rounds of passing values around the threadgroup, each between two barriers."""
    body = """
    kernel void f(device uint *y [[buffer(0)]], constant uint &rounds [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint t [[thread_position_in_threadgroup]], uint w [[threads_per_threadgroup]]) {
        threadgroup uint ring[1024];
        uint mine = i;
        for (uint n = 0; n < rounds; n++) {
            ring[t] = mine;
            threadgroup_barrier(mem_flags::mem_threadgroup);
            mine = ring[(t + 37) % w];
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
        y[i] = mine;
    }
    """
    got = run(body, 2048, np.zeros((2, 1024), np.uint32), np.uint32([13]))[0]
    assert (got == np.arange(2)[:, None] * 1024 + (np.arange(1024) + 37 * 13) % 1024).all()


def test_threadgroup_arrays_of_inner_blocks_have_sizes_from_template_arguments_and_constants_there(run):
    body = """
    template <typename T, int N> kernel void f(device T *y [[buffer(0)]], uint t [[thread_position_in_threadgroup]]) {
        if (N > 2) { threadgroup T a[N * 2]; if (t < N * 2) a[t] = t; threadgroup_barrier(mem_flags::mem_threadgroup); if (t == 0) y[0] = a[N]; }
        {
            constexpr int M = N * 4;
            const int L = M + 1;
            threadgroup T b[M][L], c[2];
            threadgroup T *p = &b[0][0];
            if (t == 0) { p[L] = 5; c[1] = 7; y[1] = b[1][0] + sizeof(b); y[2] = c[1]; }
        }
    }
    template [[host_name("f32")]] kernel void f<float, 4>(device float *, uint);
    """
    assert run(body, 8, np.zeros(3, np.float32), name="f32")[0].tolist() == [4, 16 * 17 * 4 + 5, 7]
