// matmul_q on a GPU's matrix unit: y[i, j] = sum_l x[i, l] * weight[j, l], that is y = x · weightᵀ, or y += that
//
//   buffer 0  x       X [m, k]                                 read
//   buffer 1  weight  uint [tiles, k / 32, Kind::uints]        read, packed (packed.h): tile t of it is number first + t * step
//   buffer 2  y       float [m, n]                             to be written, every element; with args.add read first; never x
//   buffer 3  args    Args                                     read
//
//   matmul_q_matrix_q4_0, matmul_q_matrix_q4_1, matmul_q_matrix_q8_0: one for each kind of weight, X = float; …_q4_0_f16, …: X = half
//
// The matrix functions know no bounds: what does not fill a piece of 8 x 8 must not be loaded or stored by them where it lies.
// Threadgroups stride over (32 tokens a SIMD-group, tile), tiles first, so that neighbours share x. Dispatch
// ceil(m / 32) * ceil(n / 32) * 32 threads. At most 32 KiB of threadgroup memory, at any width.
//
//   pytest milestones/m6/test_matmul_q_matrix.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"

struct Args {
    uint m;
    uint n;
    uint blocks;  // k / 32
    uint first;
    uint step;
    uint add;
};

template <typename Kind, typename X>
kernel void matmul_q_matrix(device const X *x [[buffer(0)]],
                            device const uint *weight [[buffer(1)]],
                            device float *y [[buffer(2)]],
                            constant Args &args [[buffer(3)]],
                            uint group [[threadgroup_position_in_grid]],
                            uint groups [[threadgroups_per_grid]],
                            uint simdgroups [[simdgroups_per_threadgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write, for each of this SIMD-group's tokens, the products with the 32 rows of the threadgroup's tile, by
    // simdgroup_multiply_accumulate on pieces of 8 x 8.
}

#define MATMUL(name, Kind, X)                                                                                                \
    template [[host_name(name)]] kernel void matmul_q_matrix<Kind, X>(device const X *, device const uint *, device float *, \
                                                                      constant Args &, uint, uint, uint, uint, uint);
MATMUL("matmul_q_matrix_q4_0", PackedQ4_0, float)
MATMUL("matmul_q_matrix_q4_1", PackedQ4_1, float)
MATMUL("matmul_q_matrix_q8_0", PackedQ8_0, float)
MATMUL("matmul_q_matrix_q4_0_f16", PackedQ4_0, half)
MATMUL("matmul_q_matrix_q4_1_f16", PackedQ4_1, half)
MATMUL("matmul_q_matrix_q8_0_f16", PackedQ8_0, half)
