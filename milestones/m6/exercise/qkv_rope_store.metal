// One token's query, key and value, each of them where it is wanted:
//     [q, k, v] = norm(x) · weightᵀ + bias;  each head of q and k normed;  q and k turned by RoPE at the token's position;
//     k and v stored as row `position` of the cache
//
//   buffer 0  x        float [width + width / 16]               read, prepared (prepared.h): multiplied by the norm's weights
//   buffer 1  weight   uint [tiles, width / 32, Kind::uints]    read, packed: q's rows, k's, v's; RoPE's pairs are neighbours
//   buffer 2  turns    ulong [d / 2]                            read, as m2's rope.metal has them
//   buffer 3  state    uint [2]                                 read: token id, position
//   buffer 4  q        float [heads, d]                         to be written, every element
//   buffer 5  cache_k  T [tiles, kv_heads, d, 32]               to be written, row `position` only: number position % 32 of its
//                                                               tile
//   buffer 6  cache_v  T [capacity, kv_heads, d]                to be written, row `position` only
//   buffer 7  args     Args                                     read
//   buffer 8  bias     float [wide + 2 narrow]                  _biased: read; _normed: read if args.biased; in the model's own order
//   buffer 9  norms    float [2, d]                             _normed: read: q's weights, k's, in the model's own order
//
//   qkv_rope_store_q4_0, _q4_1, _q8_0: without biases and norms of heads;  with _biased or _normed behind it: with
//   with _f16 behind that: T = half, the nearest, at most 65504 in size; else float
//
// A lane has one row, and its neighbour the other one of the pair. With args.halves a pair is (i, i + d/2) of the head, and
// stands side by side only in the packed weight.
//
// One SIMD-group a tile of 32 rows; where heads are normed, one a head, which makes its d / 32 tiles one after the other.
// Dispatch the rows' number of threads, normed 32 a head. wide and narrow are multiples of 32, d is even; normed: of 32, up to 128.
//
//   pytest milestones/m6/test_qkv_rope_store.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"
#include "halves.h"
#include "prepared.h"

struct Args {
    uint width;
    uint wide;    // heads * d
    uint narrow;  // kv_heads * d
    uint d;
    float eps;    // of both norms
    float scale;  // what cos and sin are multiplied by: 1, or YaRN's
    uint halves;
    uint biased;
};

constant float RADIANS = 1.4629180792671596e-9f;  // 2π / 2^32

// One tile, or a head's tiles. Called by the kernels below; pointers that they do not have must not be read.
template <typename Kind, typename T, bool Biased, bool Normed>
inline void make_and_store(device const float *x,
                           device const uint *weight,
                           device const ulong *turns,
                           device const uint *state,
                           device float *q,
                           device T *cache_k,
                           device T *cache_v,
                           constant Args &args,
                           device const float *bias,
                           device const float *norms,
                           uint index,  // the SIMD-group's
                           uint lane) {
    // Your task: compute this lane's row of q, k or v, turn it together with its neighbour's if it is q's or k's, and store it. Then
    // add its bias, if Biased and args.biased; then, if Normed, do it for a whole head, which is normed before its turn. And mind what
    // `keep` does with 1e6.
}

template <typename Kind, typename T>
kernel void qkv(device const float *x [[buffer(0)]],
                device const uint *weight [[buffer(1)]],
                device const ulong *turns [[buffer(2)]],
                device const uint *state [[buffer(3)]],
                device float *q [[buffer(4)]],
                device T *cache_k [[buffer(5)]],
                device T *cache_v [[buffer(6)]],
                constant Args &args [[buffer(7)]],
                uint group [[threadgroup_position_in_grid]],
                uint simdgroups [[simdgroups_per_threadgroup]],
                uint simdgroup [[simdgroup_index_in_threadgroup]],
                uint lane [[thread_index_in_simdgroup]]) {
    const uint index = group * simdgroups + simdgroup;
    make_and_store<Kind, T, false, false>(x, weight, turns, state, q, cache_k, cache_v, args, x, x, index, lane);
}

template <typename Kind, typename T, bool Normed>
kernel void qkv_more(device const float *x [[buffer(0)]],
                     device const uint *weight [[buffer(1)]],
                     device const ulong *turns [[buffer(2)]],
                     device const uint *state [[buffer(3)]],
                     device float *q [[buffer(4)]],
                     device T *cache_k [[buffer(5)]],
                     device T *cache_v [[buffer(6)]],
                     constant Args &args [[buffer(7)]],
                     device const float *bias [[buffer(8)]],
                     device const float *norms [[buffer(9)]],
                     uint group [[threadgroup_position_in_grid]],
                     uint simdgroups [[simdgroups_per_threadgroup]],
                     uint simdgroup [[simdgroup_index_in_threadgroup]],
                     uint lane [[thread_index_in_simdgroup]]) {
    const uint index = group * simdgroups + simdgroup;
    make_and_store<Kind, T, true, Normed>(x, weight, turns, state, q, cache_k, cache_v, args, bias, norms, index, lane);
}

#define QKV(name, Kind, T)                                                                                                       \
    template [[host_name(name)]] kernel void qkv<Kind, T>(device const float *, device const uint *, device const ulong *,       \
                                                          device const uint *, device float *, device T *, device T *,           \
                                                          constant Args &, uint, uint, uint, uint);
#define MORE(name, Kind, T, Normed)                                                                                              \
    template [[host_name(name)]] kernel void qkv_more<Kind, T, Normed>(                                                          \
        device const float *, device const uint *, device const ulong *, device const uint *, device float *, device T *,        \
        device T *, constant Args &, device const float *, device const float *, uint, uint, uint, uint);
QKV("qkv_rope_store_q4_0", PackedQ4_0, float)
QKV("qkv_rope_store_q4_1", PackedQ4_1, float)
QKV("qkv_rope_store_q8_0", PackedQ8_0, float)
QKV("qkv_rope_store_q4_0_f16", PackedQ4_0, half)
QKV("qkv_rope_store_q4_1_f16", PackedQ4_1, half)
QKV("qkv_rope_store_q8_0_f16", PackedQ8_0, half)
MORE("qkv_rope_store_q4_0_biased", PackedQ4_0, float, false)
MORE("qkv_rope_store_q4_1_biased", PackedQ4_1, float, false)
MORE("qkv_rope_store_q8_0_biased", PackedQ8_0, float, false)
MORE("qkv_rope_store_q4_0_biased_f16", PackedQ4_0, half, false)
MORE("qkv_rope_store_q4_1_biased_f16", PackedQ4_1, half, false)
MORE("qkv_rope_store_q8_0_biased_f16", PackedQ8_0, half, false)
MORE("qkv_rope_store_q4_0_normed", PackedQ4_0, float, true)
MORE("qkv_rope_store_q4_1_normed", PackedQ4_1, float, true)
MORE("qkv_rope_store_q8_0_normed", PackedQ8_0, float, true)
MORE("qkv_rope_store_q4_0_normed_f16", PackedQ4_0, half, true)
MORE("qkv_rope_store_q4_1_normed_f16", PackedQ4_1, half, true)
MORE("qkv_rope_store_q8_0_normed_f16", PackedQ8_0, half, true)
