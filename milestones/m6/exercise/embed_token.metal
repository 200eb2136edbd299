// The residual stream of one token: x = its row of the packed embedding, prepared for the first norm and product (prepared.h)
//
//   buffer 0  table   uint [tiles, width / 32, Kind::uints]  read, packed
//   buffer 1  state   uint [2]                               read: token id, position; the id is checked by the host
//   buffer 2  weight  float [width]                          read: the first norm's
//   buffer 3  x       float [width]                          to be written, every element
//   buffer 4  next    float [width + width / 16]             to be written, every element: x, sums, squares
//   buffer 5  args    Args                                   read
//
//   embed_token_q4_0, embed_token_q4_1, embed_token_q8_0
//
// One SIMD-group a block of 32 values; dispatch width threads. Called first in a step.
//
//   pytest milestones/m6/test_embed_token.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"
#include "prepared.h"

struct Args {
    uint width;
    uint nibbles;  // whether x is multiplied for them
};

template <typename Kind>
kernel void embed(device const uint *table [[buffer(0)]],
                  device const uint *state [[buffer(1)]],
                  device const float *weight [[buffer(2)]],
                  device float *x [[buffer(3)]],
                  device float *next [[buffer(4)]],
                  constant Args &args [[buffer(5)]],
                  uint group [[threadgroup_position_in_grid]],
                  uint simdgroups [[simdgroups_per_threadgroup]],
                  uint simdgroup [[simdgroup_index_in_threadgroup]],
                  uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write block `block` of x, and leave it prepared for the next kernel.
}

#define EMBED(name, Kind)                                                                                           \
    template [[host_name(name)]] kernel void embed<Kind>(device const uint *, device const uint *,                 \
                                                         device const float *, device float *, device float *,     \
                                                         constant Args &, uint, uint, uint, uint);
EMBED("embed_token_q4_0", PackedQ4_0)
EMBED("embed_token_q4_1", PackedQ4_1)
EMBED("embed_token_q8_0", PackedQ8_0)
