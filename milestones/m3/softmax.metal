// Softmax with a temperature: y[r, i] = exp(z_i) / sum_j exp(z_j),   z_i = (x[r, i] - max_j x[r, j]) / T
//
//   buffer 0  x     float [rows, n]   read, finite
//   buffer 1  y     float [rows, n]   written, every element; may be x
//   buffer 2  args  Args              read
//
// One threadgroup a row, striding over rows, its threads striding over the columns. Each reduction has two stages: within a
// SIMD-group by simd_max or simd_sum, then over the SIMD-groups through threadgroup memory, with a barrier before the partial
// results are read and one before they are written over. Dispatch rows * 1024 threads: at least one threadgroup a row at any
// width. Called once a step, for the row of logits from which a token is drawn.
//
// Subtracting the largest logit keeps exp from overflowing and cancels in the quotient. z is kept from falling below -128, where
// exp is 0 in float32 anyway: a tiny temperature would otherwise make it infinite, which fast math does not survive.
//
//   pytest milestones/m3/test_softmax.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
    float inverse_temperature;
};

kernel void softmax(device const float *x [[buffer(0)]],
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
    const uint n = args.n;
    for (uint row = group; row < args.rows; row += groups) {
        device const float *in = x + ulong(row) * n;
        device float *out = y + ulong(row) * n;

        float largest = in[0];
        for (uint i = t; i < n; i += width) largest = max(largest, in[i]);
        largest = simd_max(largest);
        if (lane == 0) partial[simdgroup] = largest;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        largest = simd_max(partial[min(lane, simdgroups - 1)]);
        threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read it: it may be written over

        float total = 0.0f;
        for (uint i = t; i < n; i += width) total += exp(max((in[i] - largest) * args.inverse_temperature, -128.0f));
        total = simd_sum(total);
        if (lane == 0) partial[simdgroup] = total;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        total = simd_sum(lane < simdgroups ? partial[lane] : 0.0f);
        threadgroup_barrier(mem_flags::mem_threadgroup);

        for (uint i = t; i < n; i += width)
            out[i] = exp(max((in[i] - largest) * args.inverse_temperature, -128.0f)) / total;
    }
}
