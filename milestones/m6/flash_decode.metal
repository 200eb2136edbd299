// Attention of one token over a cache, in one pass: for head h, with g = h / (heads / kv_heads) and p the token's position,
//     y[h] = sum_{s <= p} w[s] * v[s, g] / sum_{s <= p} w[s],   w[s] = exp(score[s] - max score),   score[s] = dot(q[h], k[s,
//     g]) / sqrt(d)
// The rows are shared out in pieces of args.piece; each piece leaves its largest score, its sum of weights and its weighted
// sum, and the pieces are put together: with M the largest of all, a piece counts exp(max - M) times.
//
//   flash_decode (_f16 for a cache of halves)
//     buffer 0  q        float [heads, d]               read
//     buffer 1  cache_k  T [capacity, kv_heads, d]      read, rows 0 … p only
//     buffer 2  cache_v  T [capacity, kv_heads, d]      read, the same rows
//     buffer 3  state    uint [2]                       read: token id, position p
//     buffer 4  parts    float [pieces, heads, d + 2]   written for the pieces that begin at or before p: weighted sum,
//     largest, sum buffer 5  args     Args                           read
//   merge_pieces
//     buffer 0  parts    as above                       read, the same pieces
//     buffer 1  state    as above                       read
//     buffer 2  next     float [heads * d * 17 / 16]    written: x and sums, prepared (prepared.h); the squares are of no use
//     buffer 3  args     Args                           read
//
// Idea: m4's kernel computes each score twice, once to find the largest. Here the largest so far is kept, and what was summed
// is multiplied by exp(old largest - new largest) when it grows (Milakov & Gimelshein, 2018; FlashAttention). 32 rows at a
// time: each score is a sum across lanes, and lane s keeps the s-th; one exp for 32 weights; then each weight goes to all
// lanes. Pieces (Flash-Decoding) are what many cores need when there is one token: 9 heads are 9 SIMD-groups, 4,096 rows in
// pieces of 256 are 144.
//
// One SIMD-group a (piece, head): dispatch pieces * heads * 32 threads; pieces after p do nothing. d <= 256. merge_pieces: a
// SIMD-group for 32 values, heads * d threads; heads * d is a multiple of 32.
//
//   pytest milestones/m6/test_flash_decode.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"
#include "prepared.h"

struct Args {
    uint heads;
    uint kv_heads;
    uint d;
    float scale;
    uint piece;    // rows of a piece, a multiple of 32
    uint nibbles;  // whether the result is multiplied for them
};

constexpr constant uint SHARES = 8;  // 8 * 32 lanes = 256, the largest d

template <typename T, uint S>
static void attend(device const float *q,
                   device const T *keys,
                   device const T *values,
                   device float *part,
                   uint rows,
                   ulong stride,
                   uint d,
                   float scale,
                   uint lane) {
    float query[S], sums[S];
    for (uint p = 0; p < S; p++) {
        sums[p] = 0.0f;
        query[p] = p * 32 + lane < d ? (q + p * 32)[lane] * scale : 0.0f;
    }
    float largest = -3.0e38f, weights = 0.0f;  // of this lane's rows, the weights
    for (uint first = 0; first < rows; first += 32) {
        const uint n = min(rows - first, 32u);
        float score = -3.0e38f;
        for (uint s = 0; s < n; s++) {
            device const T *k = keys + (first + s) * stride;
            float sum = 0.0f;
            for (uint p = 0; p < S; p++)
                if (p * 32 + lane < d) sum += query[p] * float((k + p * 32)[lane]);
            sum = simd_sum(sum);
            score = lane == s ? sum : score;
        }
        const float now = max(largest, simd_max(score)), shrink = exp(max(largest - now, -128.0f));
        const float weight = lane < n ? exp(max(score - now, -128.0f)) : 0.0f;
        largest = now;
        weights = weights * shrink + weight;
        for (uint p = 0; p < S; p++) sums[p] *= shrink;
        for (uint s = 0; s < n; s++) {
            device const T *v = values + (first + s) * stride;
            const float w = simd_broadcast(weight, ushort(s));
            for (uint p = 0; p < S; p++)
                if (p * 32 + lane < d) sums[p] += w * float((v + p * 32)[lane]);
        }
    }
    for (uint p = 0; p < S; p++)
        if (p * 32 + lane < d) (part + p * 32)[lane] = sums[p];
    const float total = simd_sum(weights);
    if (lane == 0) {
        part[d] = largest;
        part[d + 1] = total;
    }
}

template <typename T>
kernel void flash(device const float *q [[buffer(0)]],
                  device const T *cache_k [[buffer(1)]],
                  device const T *cache_v [[buffer(2)]],
                  device const uint *state [[buffer(3)]],
                  device float *parts [[buffer(4)]],
                  constant Args &args [[buffer(5)]],
                  uint group [[threadgroup_position_in_grid]],
                  uint simdgroups [[simdgroups_per_threadgroup]],
                  uint simdgroup [[simdgroup_index_in_threadgroup]],
                  uint lane [[thread_index_in_simdgroup]]) {
    const uint index = group * simdgroups + simdgroup, d = args.d;
    const uint piece = index / args.heads, head = index % args.heads, seen = state[1] + 1;
    const uint first = piece * args.piece;
    if (first >= seen) return;
    const ulong stride = ulong(args.kv_heads) * d, from = first * stride + head / (args.heads / args.kv_heads) * d;
    const uint rows = min(args.piece, seen - first);
    device float *part = parts + ulong(index) * (d + 2);
    if (d == 64) attend<T, 2>(q + head * d, cache_k + from, cache_v + from, part, rows, stride, 64, args.scale, lane);
    else attend<T, SHARES>(q + head * d, cache_k + from, cache_v + from, part, rows, stride, d, args.scale, lane);
}

kernel void merge_pieces(device const float *parts [[buffer(0)]],
                         device const uint *state [[buffer(1)]],
                         device float *next [[buffer(2)]],
                         constant Args &args [[buffer(3)]],
                         uint group [[threadgroup_position_in_grid]],
                         uint simdgroups [[simdgroups_per_threadgroup]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]]) {
    const uint block = group * simdgroups + simdgroup, d = args.d, i = block * 32 + lane;
    if (block * 32 >= args.heads * d) return;
    const uint pieces = state[1] / args.piece + 1;
    device const float *part = parts + (i / d) * (d + 2);
    const uint step = args.heads * (d + 2);
    float largest = part[d];
    for (uint p = 1; p < pieces; p++) largest = max(largest, part[p * step + d]);
    float sum = 0.0f, weights = 0.0f;
    for (uint p = 0; p < pieces; p++) {
        const float share = exp(max(part[p * step + d] - largest, -128.0f));
        sum += share * part[p * step + i % d];
        weights += share * part[p * step + d + 1];
    }
    leave(next, args.heads * d, block, lane, sum / weights, 0.0f, args.nibbles != 0);
}

#define FLASH(name, T)                                                                                           \
    template [[host_name(name)]] kernel void flash<T>(device const float *, device const T *, device const T *, \
                                                      device const uint *, device float *, constant Args &,     \
                                                      uint, uint, uint, uint);
FLASH("flash_decode", float)
FLASH("flash_decode_f16", half)
