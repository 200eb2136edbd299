// The hidden layer of the feed-forward part: y = silu(norm(x) · gateᵀ) * (norm(x) · upᵀ), prepared for the way down
// (prepared.h)
//
//   buffer 0  x       float [width + width / 16]              read, prepared: multiplied by the norm's weights
//   buffer 1  weight  uint [2 tiles, width / 32, Kind::uints] read, packed: tile 2t is gate's tile t, 2t + 1 is up's
//   buffer 2  next    float [ffn + ffn / 16]                  to be written: y and sums; the squares are of no use
//   buffer 3  args    Args                                    read
//
//   gate_up_swiglu_q4_0, gate_up_swiglu_q4_1, gate_up_swiglu_q8_0
//
// Idea: gate and up of one hidden value meet in one lane, so neither is ever stored, and 4 dispatches become one.
//
// One SIMD-group a tile of 32 hidden values; dispatch ffn threads, ffn a multiple of 32.
//
//   pytest milestones/m6/test_gate_up_swiglu.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"
#include "prepared.h"

struct Args {
    uint width;
    uint ffn;
    float eps;
    uint nibbles;  // whether the next product's x is multiplied for them
};

template <typename Kind>
kernel void hidden(device const float *x [[buffer(0)]],
                   device const uint *weight [[buffer(1)]],
                   device float *next [[buffer(2)]],
                   constant Args &args [[buffer(3)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]]) {
    // Your task: compute this lane's hidden value, and leave it prepared for the next kernel.
}

#define HIDDEN(name, Kind)                                                                                                \
    template [[host_name(name)]] kernel void hidden<Kind>(device const float *, device const uint *, device float *,      \
                                                          constant Args &, uint, uint, uint, uint);
HIDDEN("gate_up_swiglu_q4_0", PackedQ4_0)
HIDDEN("gate_up_swiglu_q4_1", PackedQ4_1)
HIDDEN("gate_up_swiglu_q8_0", PackedQ8_0)
