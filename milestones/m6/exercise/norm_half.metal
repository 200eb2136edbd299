// RMSNorm of each row, stored as halves: y[r, i] = x[r, i] / sqrt(mean_j x[r, j]^2 + eps) * weight[i], as the nearest half; what is
// larger than 65504 is infinite
//
//   buffer 0  x       float [rows, n]   read
//   buffer 1  weight  float [n]         read
//   buffer 2  y       half [rows, n]    to be written, every element; must not overlap the others
//   buffer 3  args    Args              read
//
// One SIMD-group a row, its 32 lanes striding over the columns; dispatch rows * 32 threads. Called instead of m2's rms_norm, before the
// products of a chunk of a prompt, where the activations are to be halves.
//
//   pytest milestones/m6/test_norm_half.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
    float eps;
};

kernel void norm_half(device const float *x [[buffer(0)]],
                      device const float *weight [[buffer(1)]],
                      device half *y [[buffer(2)]],
                      constant Args &args [[buffer(3)]],
                      uint group [[threadgroup_position_in_grid]],
                      uint simdgroups [[simdgroups_per_threadgroup]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write this SIMD-group's row of y: its norm, each element the nearest half.
}
