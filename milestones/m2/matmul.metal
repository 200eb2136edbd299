// Matrix product with a weight of one row per output: y[i, j] = sum_l x[i, l] * weight[j, l], that is y = x · weightᵀ
//
//   buffer 0  x       float [m, k]   read
//   buffer 1  weight  float [n, k]   read
//   buffer 2  y       float [m, n]   written, every element; must not overlap x or weight
//   buffer 3  args    Args           read
//
// One SIMD-group a weight row (an output column of y): its 32 lanes stride over k together, so that a load of 32 floats is one
// piece of memory, and four rows of x are multiplied at once, so that a loaded weight serves four times. Dispatch n * 32 threads.
// Called for every projection of a block (q, k, v, output, gate, up, down) and for the output head; with m = 1 it is the
// matvec of decode, where the weights are read once and never again: the time is their number of bytes over the bandwidth.
//
//   pytest milestones/m2/test_matmul.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint m;
    uint n;
    uint k;
};

constexpr constant uint ROWS = 4;  // rows of x that one pass over a weight row serves

kernel void matmul(device const float *x [[buffer(0)]],
                   device const float *weight [[buffer(1)]],
                   device float *y [[buffer(2)]],
                   constant Args &args [[buffer(3)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]]) {
    const uint column = group * simdgroups + simdgroup;
    if (column >= args.n) return;  // the rounded-up tail: whole SIMD-groups, so simd_sum below is never split
    const uint m = args.m, k = args.k;
    const uint whole = k / 32 * 32;  // below it all 32 lanes have work: every lane counts the same l, and none is masked
    device const float *w = weight + ulong(column) * k + lane;

    for (uint first = 0; first < m; first += ROWS) {
        device const float *in[ROWS];
        float sums[ROWS];
        for (uint r = 0; r < ROWS; r++) {
            in[r] = x + ulong(min(first + r, m - 1)) * k + lane;  // past the last row: the last again, its sum not stored
            sums[r] = 0.0f;
        }
        for (uint l = 0; l < whole; l += 32)
            for (uint r = 0; r < ROWS; r++) sums[r] += in[r][l] * w[l];
        if (whole + lane < k)
            for (uint r = 0; r < ROWS; r++) sums[r] += in[r][whole] * w[whole];
        for (uint r = 0; r < ROWS; r++) {
            const float sum = simd_sum(sums[r]);
            if (lane == 0 && first + r < m) y[ulong(first + r) * args.n + column] = sum;
        }
    }
}
