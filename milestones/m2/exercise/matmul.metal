// Matrix product with a weight of one row per output: y[i, j] = sum_l x[i, l] * weight[j, l], that is y = x · weightᵀ
//
//   buffer 0  x       float [m, k]   read
//   buffer 1  weight  float [n, k]   read
//   buffer 2  y       float [m, n]   to be written, every element; never x or weight
//   buffer 3  args    Args           read
//
// Dispatched with n * 32 threads: one SIMD-group (32 lanes) a weight row, which is an output column: it writes y[0, j], …,
// y[m - 1, j]. The dispatch is rounded up to whole threadgroups: SIMD-groups with j >= n must read and write nothing.
// m, n and k may be any number from 1 on; k need not be a multiple of 32. Sums are kept in float32.
//
// A row of x must give the same bits whether it is alone (m = 1, decode) or one of many (prefill): the order in which a sum is
// added up may depend on k, not on m.
//
// Called for every projection of a block (q, k, v, output, gate, up, down) and for the output head.
//
//   pytest -x milestones/m2/test_matmul.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint m;
    uint n;
    uint k;
};

kernel void matmul(device const float *x [[buffer(0)]],
                   device const float *weight [[buffer(1)]],
                   device float *y [[buffer(2)]],
                   constant Args &args [[buffer(3)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write column j of y, where j is the weight row of this SIMD-group, if there is one.
}
