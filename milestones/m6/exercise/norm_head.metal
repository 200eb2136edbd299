// The last norm and the output head: logits = norm(x) · weightᵀ
//
//   buffer 0  x       float [width + width / 16]             read, prepared (prepared.h): multiplied by the norm's weights
//   buffer 1  weight  uint [tiles, width / 32, Kind::uints]  read, packed
//   buffer 2  logits  float [n]                              to be written, every element
//   buffer 3  args    Args                                   read
//
//   norm_head_q4_0, norm_head_q4_1, norm_head_q8_0
//
// One SIMD-group a tile of 32 tokens; dispatch ceil(n / 32) * 32 threads.
//
//   pytest milestones/m6/test_norm_head.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"
#include "prepared.h"

struct Args {
    uint width;
    uint n;
    float eps;
};

template <typename Kind>
kernel void head(device const float *x [[buffer(0)]],
                 device const uint *weight [[buffer(1)]],
                 device float *logits [[buffer(2)]],
                 constant Args &args [[buffer(3)]],
                 uint group [[threadgroup_position_in_grid]],
                 uint simdgroups [[simdgroups_per_threadgroup]],
                 uint simdgroup [[simdgroup_index_in_threadgroup]],
                 uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write the logit of this lane's row, if there is one.
}

#define HEAD(name, Kind)                                                                                                 \
    template [[host_name(name)]] kernel void head<Kind>(device const float *, device const uint *, device float *,       \
                                                        constant Args &, uint, uint, uint, uint);
HEAD("norm_head_q4_0", PackedQ4_0)
HEAD("norm_head_q4_1", PackedQ4_1)
HEAD("norm_head_q8_0", PackedQ8_0)
