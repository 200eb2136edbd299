// The sum of each row: y[r] = x[r, 0] + x[r, 1] + ... + x[r, n - 1]
//
//   buffer 0  x     float [rows, n]   read: row r begins at element r * n
//   buffer 1  y     float [rows]      to be written, every element, and nothing past the last one
//   buffer 2  args  Args              read
//
// Dispatched with rows * 32 threads: one SIMD-group (32 lanes) a row. The dispatch is rounded up to whole threadgroups, so
// there are SIMD-groups with row >= rows: they must read and write nothing. A threadgroup may hold 1 SIMD-group or as many
// as 32: which row is this SIMD-group's follows from all three of `group`, `simdgroups` and `simdgroup`. n may be any
// number from 1 on, a multiple of 32 or not.
//
// A SIMD-group's lanes run in step and can hand each other values without any memory: simd_sum(v) gives each of them the
// sum of all lanes' v. It counts only the lanes that come to it, so all 32 must come to it together.
//
// The second lesson: SIMD-groups. Nobody calls it but its spec; m2's rms_norm and matmul add up their rows the same way.
//
//   pytest -x milestones/m1/test_row_sum.py
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
    // Your task: write the sum of this SIMD-group's row, if there is one.
}
