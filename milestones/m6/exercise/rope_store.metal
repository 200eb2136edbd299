// After a chunk's product with the weights of query, key and value: biases added, each head of q and k normed, q and k turned by
// RoPE, k and v stored in the cache
//     (a, b) -> (a * cos - b * sin, a * sin + b * cos) for each pair of q and k at the token's position (m2's rope.metal)
//
//   buffer 0  qkv      float [tokens, wide + 2 narrow]  read: q, k, v of each token; RoPE's pairs are neighbours
//   buffer 1  turns    ulong [d / 2]                    read, as m2's rope.metal has them
//   buffer 2  q        float [tokens, heads, d]         to be written, every element
//   buffer 3  cache_k  T [tiles, kv_heads, d, 32]       to be written, rows position … position + tokens - 1 only: row s is
//                                                       number s % 32 of tile s / 32
//   buffer 4  cache_v  T [capacity, kv_heads, d]        to be written, the same rows
//   buffer 5  bias     float [wide + 2 narrow]          read if args.biased, in the model's own order
//   buffer 6  norms    float [2, d]                     read if args.normed: q's weights, k's, in the model's own order
//   buffer 7  args     Args                             read
//
//   rope_store: T = float; rope_store_f16: T = half, the nearest, at most 65504 in size
//
// With args.halves a pair is (i, i + d/2) of the head, and stands side by side only in the packed weight and so in qkv.
//
// One SIMD-group a head of q, k or v, a pair a lane and round: the sum of a head's squares is one simd_sum. Dispatch 32 threads for each
// head of each token. Called once a block for a chunk of a prompt.
//
//   pytest milestones/m6/test_rope_store.py
#include <metal_stdlib>
using namespace metal;

#include "halves.h"

struct Args {
    uint tokens;
    uint wide;    // heads * d
    uint narrow;  // kv_heads * d
    uint d;
    uint position;
    uint halves;
    float eps;    // of the norms
    float scale;  // what cos and sin are multiplied by: 1, or YaRN's
    uint biased;
    uint normed;
};

constant float RADIANS = 1.4629180792671596e-9f;  // 2π / 2^32

template <typename T>
kernel void turn_and_store(device const float *qkv [[buffer(0)]],
                           device const ulong *turns [[buffer(1)]],
                           device float *q [[buffer(2)]],
                           device T *cache_k [[buffer(3)]],
                           device T *cache_v [[buffer(4)]],
                           device const float *bias [[buffer(5)]],
                           device const float *norms [[buffer(6)]],
                           constant Args &args [[buffer(7)]],
                           uint group [[threadgroup_position_in_grid]],
                           uint simdgroups [[simdgroups_per_threadgroup]],
                           uint simdgroup [[simdgroup_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]]) {
    // Your task: bring this SIMD-group's head to where it belongs, with its biases, normed and turned if it is q's or k's. And mind
    // what `keep` does with 1e6.
}

#define TURN(name, T)                                                                                                         \
    template [[host_name(name)]] kernel void turn_and_store<T>(device const float *, device const ulong *, device float *,    \
                                                               device T *, device T *, device const float *,                 \
                                                               device const float *, constant Args &, uint, uint, uint, uint);
TURN("rope_store", float)
TURN("rope_store_f16", half)
