// Rows of a packed embedding, as floats: x[t] = table[ids[t]]
//
//   buffer 0  table  uint [tiles, width / 32, Kind::uints]  read, packed (packed.h)
//   buffer 1  ids    uint [tokens]                          read; the host checks them
//   buffer 2  x      float [tokens, width]                  to be written, every element
//   buffer 3  args   Args                                   read
//
//   embed_rows_q4_0, embed_rows_q4_1, embed_rows_q8_0
//
// One SIMD-group a (token, block of 32 values), a lane a value; dispatch tokens * width threads. Called once a chunk of a
// prompt.
//
//   pytest milestones/m6/test_embed_rows.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"

struct Args {
    uint tokens;
    uint blocks;  // width / 32
};

template <typename Kind>
kernel void embed(device const uint *table [[buffer(0)]],
                  device const uint *ids [[buffer(1)]],
                  device float *x [[buffer(2)]],
                  constant Args &args [[buffer(3)]],
                  uint group [[threadgroup_position_in_grid]],
                  uint simdgroups [[simdgroups_per_threadgroup]],
                  uint simdgroup [[simdgroup_index_in_threadgroup]],
                  uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write one value of x: of which token, which block, which row of the table?
}

#define EMBED(name, Kind)                                                                                             \
    template [[host_name(name)]] kernel void embed<Kind>(device const uint *, device const uint *, device float *,    \
                                                         constant Args &, uint, uint, uint, uint);
EMBED("embed_rows_q4_0", PackedQ4_0)
EMBED("embed_rows_q4_1", PackedQ4_1)
EMBED("embed_rows_q8_0", PackedQ8_0)
