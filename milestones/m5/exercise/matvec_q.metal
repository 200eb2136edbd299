// Product of a packed weight with one vector: y[j] = sum_l weight[j, l] * x[l], straight from the packed blocks
//
//   buffer 0  x       float [k]                          read, prepared for the kind (prepare.metal)
//   buffer 1  sums    float [k / 32]                     read: of each block of x
//   buffer 2  weight  uint [tiles, k / 32, Kind::uints]  read, packed (packed.h)
//   buffer 3  y       float [n]                          to be written, every element; must not be x or sums
//   buffer 4  args    Args                               read
//
//   matvec_q4_0, matvec_q4_1, matvec_q8_0: one for each kind of weight
//
// One SIMD-group a tile of 32 rows; dispatch ceil(n / 32) * 32 threads.
//
//   pytest milestones/m5/test_matvec_q.py
#include <metal_stdlib>
using namespace metal;

#include "packed.h"

struct Args {
    uint n;
    uint blocks;  // k / 32
};

template <typename Kind>
kernel void matvec(device const float *x [[buffer(0)]],
                   device const float *sums [[buffer(1)]],
                   device const uint *weight [[buffer(2)]],
                   device float *y [[buffer(3)]],
                   constant Args &args [[buffer(4)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write the product of this lane's row of the tile with x, if there is such a row.
}

#define MATVEC(name, Kind)                                                                                        \
    template [[host_name(name)]] kernel void matvec<Kind>(device const float *, device const float *,            \
                                                          device const uint *, device float *, constant Args &, \
                                                          uint, uint, uint, uint);
MATVEC("matvec_q4_0", PackedQ4_0)
MATVEC("matvec_q4_1", PackedQ4_1)
MATVEC("matvec_q8_0", PackedQ8_0)
