// RMSNorm: y[r, i] = x[r, i] / sqrt(mean_j x[r, j]^2 + eps) * weight[i]
//
//   buffer 0  x       float [rows, n]   read
//   buffer 1  weight  float [n]         read
//   buffer 2  y       float [rows, n]   to be written, every element; may be x
//   buffer 3  args    Args              read
//
// Dispatched with rows * 32 threads: one SIMD-group (32 lanes) a row. The dispatch is rounded up to whole threadgroups, so
// there are SIMD-groups with row >= rows: they must read and write nothing. A threadgroup may hold 1 SIMD-group or as many as
// 32: which row is this SIMD-group's follows from all three of `group`, `simdgroups` and `simdgroup`. n may be any number from
// 1 on, a multiple of 32 or not.
//
// y may be x itself: a row's elements must all have been read before the first of them is written. The 32 lanes of a SIMD-group
// run together, and a simd_sum hands its result out when all of them have come to it.
//
// Called before attention and before the feed-forward part of every block, and once before the output head.
//
//   pytest -x milestones/m2/test_rms_norm.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
    float eps;
};

kernel void rms_norm(device const float *x [[buffer(0)]],
                     device const float *weight [[buffer(1)]],
                     device float *y [[buffer(2)]],
                     constant Args &args [[buffer(3)]],
                     uint group [[threadgroup_position_in_grid]],
                     uint simdgroups [[simdgroups_per_threadgroup]],
                     uint simdgroup [[simdgroup_index_in_threadgroup]],
                     uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write the normalised row of this SIMD-group, if there is one.
}
