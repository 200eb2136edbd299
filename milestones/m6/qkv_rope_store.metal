// One token's query, key and value, each of them where it is wanted:
//     [q, k, v] = norm(x) · weightᵀ + bias;  each head of q and k normed;  q and k turned by RoPE at the token's position;
//     k and v stored as row `position` of the cache
//
//   buffer 0  x        float [width + width / 16]               read, prepared (prepared.h): multiplied by the norm's weights
//   buffer 1  weight   uint [tiles, width / 32, Kind::uints]    read, packed: q's rows, k's, v's; RoPE's pairs are neighbours
//   buffer 2  turns    ulong [d / 2]                            read, as m2's rope.metal has them
//   buffer 3  state    uint [2]                                 read: token id, position
//   buffer 4  q        float [heads, d]                         written, every element
//   buffer 5  cache_k  T [tiles, kv_heads, d, 32]               written, row `position` only: number position % 32 of its tile
//   buffer 6  cache_v  T [capacity, kv_heads, d]                written, row `position` only
//   buffer 7  args     Args                                     read
//   buffer 8  bias     float [wide + 2 narrow]                  _biased: read; _normed: read if args.biased; in the model's own order
//   buffer 9  norms    float [2, d]                             _normed: read: q's weights, k's, in the model's own order
//
//   qkv_rope_store_q4_0, _q4_1, _q8_0: without biases and norms of heads;  with _biased or _normed behind it: with
//   with _f16 behind that: T = half, the nearest, at most 65504 in size; else float
//
// Idea: the work of five kernels and more without a trip through memory between them. A lane has one row; its neighbour has the other
// one of the pair, so RoPE is one shuffle. With args.halves a pair is (i, i + d/2) of the head, and stands side by side only in the
// packed weight. Prediction, portable device: 7 dispatches of some 6 us become one, and the norm costs nothing: 1.1 ms of a
// step of 30 blocks.
//
// One SIMD-group a tile of 32 rows; where heads are normed, one a head: it makes the head's d / 32 tiles one after the other, so that
// the sum of their squares never leaves it. That is fewer SIMD-groups for a GPU to fill itself with, but still one dispatch. These are
// functions of their own: as flags in one function they cost a model that has neither 4 to 6 % of this kernel's time.
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
constexpr constant uint TILES = 4;                // 4 * 32 = 128, the largest d with norms

// A lane's row in its head. Its tile's first is the same for all lanes, and so is whether heads end at tiles: few divisions, then.
inline uint in_head(uint first, uint d, uint lane) {
    const uint row = first % d + lane;
    return d % 32 != 0 ? row % d : row;
}

// Where in the head the model itself has that row of q or k: pairs are neighbours in the packed weight.
inline uint element_of(uint row, uint d, uint halves) { return halves != 0 ? row / 2 + (row & 1u) * (d / 2) : row; }

// A lane's number of q or k, and its neighbour's, turned by the pair's angle.
inline float turn(float value, device const ulong *turns, uint pair, uint position, float scale, uint lane) {
    const ulong phase = ulong(position) * turns[pair];
    const float angle = float(as_type<int>(uint(phase >> 32))) * RADIANS;
    const float other = simd_shuffle_xor(value, 1);
    return (value * precise::cos(angle) + ((lane & 1u) != 0 ? other : -other) * precise::sin(angle)) * scale;
}

// One tile, or a head's tiles. Called by the kernels below; pointers that they do not have are not read.
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
    const uint wide = args.wide, narrow = args.narrow, d = args.d, tiles = Normed ? d / 32 : 1;
    const uint first = index * tiles * 32;  // row
    if (first >= wide + 2 * narrow) return;
    const bool is_k = first >= wide, is_v = first >= wide + narrow;
    const uint blocks = args.width / 32, position = state[1], halves = is_v ? 0 : args.halves;
    const float factor = norm_factor(x, args.width, args.eps, lane);

    float totals[TILES], squares = 0.0f;
    for (uint t = 0; t < tiles; t++) {
        float total = factor * row_times<Kind>(weight + ulong(first / 32 + t) * blocks * Kind::uints(), x, blocks, lane);
        if (Biased && args.biased != 0) {
            const uint row = first + t * 32 + lane, in = in_head(first + t * 32, d, lane);
            total += bias[row - in + element_of(in, d, halves)];
        }
        totals[t] = total;
        squares += total * total;
    }
    const float level = Normed ? rsqrt(simd_sum(squares) / float(d) + args.eps) : 1.0f;
    device const float *norm = is_k ? norms + d : norms;

    for (uint t = 0; t < tiles; t++) {
        const uint row = first + t * 32 + lane;
        float total = totals[t];
        if (is_v) {
            keep(cache_v + ulong(position) * narrow + (row - wide - narrow), total);
            continue;
        }
        const uint in = in_head(first + t * 32, d, lane), element = element_of(in, d, halves);
        if (Normed) total *= level * norm[element];
        const float turned = turn(total, turns, in / 2, position, args.scale, lane);
        const uint at = row - in + element;  // of q's and k's rows
        if (is_k) keep(cache_k + (ulong(position / 32) * narrow + at - wide) * 32 + position % 32, turned);
        else q[at] = turned;
    }
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
