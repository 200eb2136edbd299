// The sum of each row: y[r] = x[r, 0] + x[r, 1] + ... + x[r, n - 1]
//
//   buffer 0  x     float [rows, n]   read
//   buffer 1  y     float [rows]      written, every element
//   buffer 2  args  Args              read
//
// One SIMD-group a row, its 32 lanes striding over the columns; dispatch rows * 32 threads. The second lesson
// (SIMD-groups); m2's rms_norm and matmul add up their rows the same way.
//
//   pytest milestones/m1/test_row_sum.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
};

kernel void row_sum(device const float *x [[buffer(0)]],
                    device float *y [[buffer(1)]],
                    constant Args &args [[buffer(2)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint simdgroups [[simdgroups_per_threadgroup]],
                    uint simdgroup [[simdgroup_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]]) {
    const uint row = group * simdgroups + simdgroup;
    if (row >= args.rows) return;  // the rounded-up tail: whole SIMD-groups, so simd_sum below is never split
    device const float *in = x + ulong(row) * args.n;

    float sum = 0.0f;  // of this lane's columns
    for (uint i = lane; i < args.n; i += 32) sum += in[i];
    sum = simd_sum(sum);  // all lanes take part, and all have the result
    if (lane == 0) y[row] = sum;
}
