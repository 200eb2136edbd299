// How many elements of each row are NaN or infinite: out[r] = #{i : x[r, i] is not finite}
//
//   buffer 0  x     uint [rows, n]   read: the bits of floats
//   buffer 1  out   uint [rows]      written, every element
//   buffer 2  args  Args             read
//
// Told by the bits (an exponent of all ones), never by a comparison: fast math may assume that neither exists. One SIMD-group a
// row, its lanes striding over the columns; dispatch rows * 32 threads. Called on the logits of every step: sampling from a row
// with a NaN in it would look like text.
//
//   pytest milestones/m3/test_nonfinite.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
};

kernel void nonfinite(device const uint *x [[buffer(0)]],
                      device uint *out [[buffer(1)]],
                      constant Args &args [[buffer(2)]],
                      uint group [[threadgroup_position_in_grid]],
                      uint simdgroups [[simdgroups_per_threadgroup]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]]) {
    const uint row = group * simdgroups + simdgroup;
    if (row >= args.rows) return;  // the rounded-up tail: whole SIMD-groups, so simd_sum below is never split
    const uint n = args.n, whole = n / 32 * 32;
    device const uint *in = x + ulong(row) * n + lane;
    uint count = 0;
    for (uint i = 0; i < whole; i += 32) count += (in[i] & 0x7F800000u) == 0x7F800000u ? 1 : 0;
    if (whole + lane < n) count += (in[whole] & 0x7F800000u) == 0x7F800000u ? 1 : 0;
    const uint all = simd_sum(count);
    if (lane == 0) out[row] = all;
}
