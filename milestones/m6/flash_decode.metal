// Attention of one token over a cache, in one pass: for head h, with g = h / (heads / kv_heads) and p the token's position,
//     y[h] = sum_{s <= p} w[s] * v[s, g] / sum_{s <= p} w[s],   w[s] = exp(score[s] - max score)
//     score[s] = dot(q[h], k[s, g]) / sqrt(d)
// The rows may be shared out in pieces of args.piece; each leaves its weighted sum, its largest score and its sum of weights, and
// the pieces are put together: with M the largest of all, a piece counts exp(largest - M) times.
//
//   flash_decode (_f16 for a cache of halves)
//     buffer 0  q        float [heads, d]               read
//     buffer 1  cache_k  T [tiles, kv_heads, d, 32]     read: row s is number s % 32 of tile s / 32; rows 0 … p only
//     buffer 2  cache_v  T [capacity, kv_heads, d]      read, rows 0 … p only
//     buffer 3  state    uint [2]                       read: token id, position p
//     buffer 4  parts    float [pieces, heads, d + 2]   written for the pieces that begin at or before p: the sum, the largest
//                                                       score, the weights; with args.pieces = 1 not at all
//     buffer 5  next     float [heads * d * 17 / 16]    written with args.pieces = 1: y and sums, prepared (prepared.h); the
//                                                       squares are of no use
//     buffer 6  args     Args                           read
//   merge_pieces
//     buffer 0  parts    as above                       read, the same pieces
//     buffer 1  state    as above                       read
//     buffer 2  next     as above                       written
//     buffer 3  args     Args                           read
//
// Idea: m4's kernel computes each score twice, once to find the largest. Here the largest so far is kept, and what was summed
// is multiplied by exp(old largest - new largest) when it grows (Milakov & Gimelshein, 2018; FlashAttention). The keys lie
// transposed, 32 rows together: so a lane has a row, its neighbours' keys lie beside its own, and no score is summed across lanes.
// Then the 32 weights are laid down where all lanes can read them, and a lane sums its elements of the values.
// Pieces (Flash-Decoding) are what many cores need when there is one token: 9 heads are 9 SIMD-groups, 4,096 rows in pieces
// of 256 are 144. Prediction, portable device: a first version with a sum across lanes for each score took 91 ns a row and
// head; without it 2 d multiply-adds at 16 a cycle are 8 cycles, some 4 ns with the rest. Measured: README.md.
//
// One SIMD-group a (piece, head): dispatch pieces * heads * 32 threads; pieces after p do nothing. d is a multiple of 32 up to
// 128. merge_pieces: a SIMD-group for 32 values, heads * d threads.
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
    uint pieces;
    uint piece;    // rows of a piece, a multiple of 32
    uint nibbles;  // whether the result is multiplied for them
};

constexpr constant uint SHARES = 4;  // 4 * 32 lanes = 128, the largest d

template <typename T>
kernel void flash(device const float *q [[buffer(0)]],
                  device const T *cache_k [[buffer(1)]],
                  device const T *cache_v [[buffer(2)]],
                  device const uint *state [[buffer(3)]],
                  device float *parts [[buffer(4)]],
                  device float *next [[buffer(5)]],
                  constant Args &args [[buffer(6)]],
                  uint group [[threadgroup_position_in_grid]],
                  uint simdgroups [[simdgroups_per_threadgroup]],
                  uint simdgroup [[simdgroup_index_in_threadgroup]],
                  uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float shared[32 * 32];  // 32 weights for each SIMD-group
    const uint index = group * simdgroups + simdgroup, d = args.d;
    const uint piece = index / args.heads, head = index % args.heads, seen = state[1] + 1;
    const uint begin = piece * args.piece;
    if (piece >= args.pieces || begin >= seen) return;
    const uint rows = args.pieces == 1 ? seen : min(args.piece, seen - begin);
    const uint kv_head = head / (args.heads / args.kv_heads), narrow = args.kv_heads * d;
    device const float *query = q + head * d;
    device const T *keys = cache_k + (ulong(begin) * args.kv_heads + kv_head * 32) * d;
    device const T *values = cache_v + ulong(begin) * narrow + kv_head * d;
    threadgroup float *weights = shared + simdgroup * 32;

    float sums[SHARES];
    for (uint p = 0; p < SHARES; p++) sums[p] = 0.0f;
    float largest = -3.0e38f, mine = 0.0f;  // mine: the weights of this lane's rows
    for (uint first = 0; first < rows; first += 32) {
        const uint n = min(rows - first, 32u);
        float score = 0.0f;
        if (n == 32)
            for (uint j = 0; j < d; j++) score += query[j] * float((keys + j * 32)[lane]);
        else if (lane < n)
            for (uint j = 0; j < d; j++) score += query[j] * float((keys + j * 32)[lane]);
        score = lane < n ? score * args.scale : -3.0e38f;
        const float now = max(largest, simd_max(score)), shrink = exp(max(largest - now, -128.0f));
        const float weight = lane < n ? exp(max(score - now, -128.0f)) : 0.0f;
        largest = now;
        mine = mine * shrink + weight;
        weights[lane] = weight;
        simdgroup_barrier(mem_flags::mem_threadgroup);
        for (uint p = 0; p < SHARES; p++) {
            if (p * 32 >= d) break;
            float sum = sums[p] * shrink;
            device const T *v = values + p * 32;
            for (uint s = 0; s < n; s++) sum += weights[s] * float((v + s * narrow)[lane]);
            sums[p] = sum;
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);
        keys += 32 * narrow;
        values += 32 * narrow;
    }
    const float total = simd_sum(mine);
    if (args.pieces == 1) {
        for (uint p = 0; p < SHARES; p++)
            if (p * 32 < d) leave(next, args.heads * d, head * (d / 32) + p, lane, sums[p] / total, 0.0f, args.nibbles != 0);
        return;
    }
    device float *part = parts + ulong(index) * (d + 2);
    for (uint p = 0; p < SHARES; p++)
        if (p * 32 < d) (part + p * 32)[lane] = sums[p];
    if (lane == 0) {
        part[d] = largest;
        part[d + 1] = total;
    }
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
                                                      device const uint *, device float *, device float *,      \
                                                      constant Args &, uint, uint, uint, uint);
FLASH("flash_decode", float)
FLASH("flash_decode_f16", half)
