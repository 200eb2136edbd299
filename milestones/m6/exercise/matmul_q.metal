// Product of a block of tokens with a packed weight: y[i, j] = sum_l x[i, l] * weight[j, l], that is y = x · weightᵀ, or y
// += that
//
//   buffer 0  x       X [m, k]                                 read
//   buffer 1  weight  uint [tiles, k / 32, Kind::uints]        read, packed (packed.h): tile t of it is number first + t * step
//   buffer 2  y       float [m, n]                             to be written, every element; with args.add read first; never x
//   buffer 3  args    Args                                     read
//
//   matmul_q4_0, matmul_q4_1, matmul_q8_0: one for each kind of weight, X = float; matmul_q4_0_f16, …: X = half
//
// One SIMD-group a (tile, args.tokens tokens), tiles first, so that neighbours share x; dispatch ceil(m / tokens) * ceil(n
// / 32) * 32.
//
//   pytest milestones/m6/test_matmul_q.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"

struct Args {
    uint m;
    uint n;
    uint blocks;  // k / 32
    uint first;
    uint step;
    uint tokens;
    uint add;
};

template <typename Kind, typename X>
kernel void matmul_q(device const X *x [[buffer(0)]],
                     device const uint *weight [[buffer(1)]],
                     device float *y [[buffer(2)]],
                     constant Args &args [[buffer(3)]],
                     uint group [[threadgroup_position_in_grid]],
                     uint simdgroups [[simdgroups_per_threadgroup]],
                     uint simdgroup [[simdgroup_index_in_threadgroup]],
                     uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write, for each of this SIMD-group's tokens, the product with this lane's row of the tile.
}

#define MATMUL(name, Kind, X)                                                                                             \
    template [[host_name(name)]] kernel void matmul_q<Kind, X>(device const X *, device const uint *, device float *,     \
                                                               constant Args &, uint, uint, uint, uint);
MATMUL("matmul_q4_0", PackedQ4_0, float)
MATMUL("matmul_q4_1", PackedQ4_1, float)
MATMUL("matmul_q8_0", PackedQ8_0, float)
MATMUL("matmul_q4_0_f16", PackedQ4_0, half)
MATMUL("matmul_q4_1_f16", PackedQ4_1, half)
MATMUL("matmul_q8_0_f16", PackedQ8_0, half)
