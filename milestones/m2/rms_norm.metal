// RMSNorm: y[r, i] = x[r, i] / sqrt(mean_j x[r, j]^2 + eps) * weight[i]
//
//   buffer 0  x       float [rows, n]   read
//   buffer 1  weight  float [n]         read
//   buffer 2  y       float [rows, n]   written, every element; may be x: a SIMD-group reads its row before it writes any of it
//   buffer 3  args    Args              read
//
// One SIMD-group a row, its 32 lanes striding over the columns; dispatch rows * 32 threads. Called before attention and
// before the feed-forward part of every block, and once before the output head.
//
//   pytest milestones/m2/test_rms_norm.py
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
    const uint row = group * simdgroups + simdgroup;
    if (row >= args.rows) return;  // the rounded-up tail: whole SIMD-groups, so simd_sum below is never split
    device const float *in = x + ulong(row) * args.n;
    device float *out = y + ulong(row) * args.n;

    float squares = 0.0f;
    for (uint i = lane; i < args.n; i += 32) squares += in[i] * in[i];
    const float scale = rsqrt(simd_sum(squares) / float(args.n) + args.eps);
    for (uint i = lane; i < args.n; i += 32) out[i] = in[i] * scale * weight[i];
}
