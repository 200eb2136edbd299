// The largest element of each row: y[r] = max_i x[r, i]
//
//   buffer 0  x     float [rows, n]   read, finite
//   buffer 1  y     float [rows]      written, every element
//   buffer 2  args  Args              read
//
// One threadgroup a row, striding over rows, its threads striding over the columns. Dispatch rows * 32 threads: one
// threadgroup a row where it is 32 threads wide, up to 32 rows for each where it is wider. Two stages: within a SIMD-group
// by simd_max, then over the SIMD-groups through threadgroup memory. The third lesson (threadgroups and barriers); m3's
// softmax begins the same way.
//
//   pytest milestones/m1/test_row_max.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
};

kernel void row_max(device const float *x [[buffer(0)]],
                    device float *y [[buffer(1)]],
                    constant Args &args [[buffer(2)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint t [[thread_position_in_threadgroup]],
                    uint width [[threads_per_threadgroup]],
                    uint simdgroups [[simdgroups_per_threadgroup]],
                    uint simdgroup [[simdgroup_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float partial[32];  // one a SIMD-group, at most 32 of them
    for (uint row = group; row < args.rows; row += groups) {
        device const float *in = x + ulong(row) * args.n;

        float largest = in[0];  // not 0: a row may be all negative
        for (uint i = t; i < args.n; i += width) largest = max(largest, in[i]);
        largest = simd_max(largest);
        if (lane == 0) partial[simdgroup] = largest;
        threadgroup_barrier(mem_flags::mem_threadgroup);  // all have written: it may be read
        largest = simd_max(partial[min(lane, simdgroups - 1)]);
        if (t == 0) y[row] = largest;
        threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read: the next row may write over it
    }
}
