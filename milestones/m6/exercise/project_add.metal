// A projection back into the residual stream: x += y · weightᵀ, and x prepared for the norm and product that come next
// (prepared.h)
//
//   buffer 0  y       float [k + k / 16]              read, prepared
//   buffer 1  weight  uint [tiles, k / 32, Kind::uints]  read, packed
//   buffer 2  norm    float [n]                       read: the next norm's weights
//   buffer 3  x       float [n]                       read and to be written, every element
//   buffer 4  next    float [n + n / 16]              to be written, every element: must not overlap the others
//   buffer 5  args    Args                            read
//
//   project_add_q4_0, project_add_q4_1, project_add_q8_0
//
// Called twice a block: attention's output, and the way down from the hidden layer. One SIMD-group a tile of 32 rows;
// dispatch n threads, n a multiple of 32.
//
//   pytest milestones/m6/test_project_add.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"
#include "prepared.h"

struct Args {
    uint n;
    uint blocks;   // k / 32
    uint nibbles;  // whether the next product's x is multiplied for them
};

template <typename Kind>
kernel void project(device const float *y [[buffer(0)]],
                    device const uint *weight [[buffer(1)]],
                    device const float *norm [[buffer(2)]],
                    device float *x [[buffer(3)]],
                    device float *next [[buffer(4)]],
                    constant Args &args [[buffer(5)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint simdgroups [[simdgroups_per_threadgroup]],
                    uint simdgroup [[simdgroup_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]]) {
    // Your task: add the product of this lane's row to x, and leave the new x prepared for the next kernel.
}

#define PROJECT(name, Kind)                                                                                       \
    template [[host_name(name)]] kernel void project<Kind>(device const float *, device const uint *,            \
                                                           device const float *, device float *, device float *, \
                                                           constant Args &, uint, uint, uint, uint);
PROJECT("project_add_q4_0", PackedQ4_0)
PROJECT("project_add_q4_1", PackedQ4_1)
PROJECT("project_add_q8_0", PackedQ8_0)
