// Attention of one token over a cache, in one pass: for head h, with g = h / (heads / kv_heads) and p the token's position,
//     y[h] = sum_{s <= p} w[s] * v[s, g] / sum_{s <= p} w[s],   w[s] = exp(score[s] - max score)
//     score[s] = dot(q[h], k[s, g]) / sqrt(d)
// The rows may be shared out in pieces of args.piece; each leaves its weighted sum, its largest score and its sum of weights, and
// the pieces are put together: with M the largest of all, a piece counts exp(largest - M) times.
//
//   flash_decode_N (_f16 for a cache of halves): N = TOGETHER heads at once, 1 to 4
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
// Pieces (Flash-Decoding) are what many cores need when there is one token: three cache heads are three SIMD-groups, 4,096 rows in
// pieces of 256 are 48. Prediction, portable device: a first version with a sum across lanes for each score took 91 ns a row and
// head; without it 2 d multiply-adds at 16 a cycle are 8 cycles, some 4 ns with the rest. Measured: README.md.
//
// Heads that share a cache head read the same rows: TOGETHER of them in one SIMD-group load a row once, and there are that many
// sums to add to, none of which waits for itself. The next phase's rows are asked for in each: values while scores are summed, the
// next keys while values are. Prediction for three heads and 4,096 rows in memory: what 6 MB need to be read. Measured: README.md.
//
// The heads / kv_heads query heads of a cache head are shared out to ceil(heads / kv_heads / TOGETHER) runs of TOGETHER; where they
// do not fill the last one, it begins earlier, and does not write what the run before writes. One SIMD-group a (piece, cache head,
// run): dispatch pieces * kv_heads * runs * 32 threads; pieces after p do nothing. d is a multiple of 32 up to 128.
// merge_pieces: a SIMD-group for 32 values, heads * d threads.
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

// Scores of lane's row for each of the heads. This round's values are asked for meanwhile.
template <typename T, uint TOGETHER>
inline void score(thread float *scores, device const float *query, device const T *keys, device const T *values, uint narrow, uint d,
                  uint lane) {
    for (uint h = 0; h < TOGETHER; h++) scores[h] = 0.0f;
    for (uint j = 0; j < d; j++) {
        ask_ahead(values + j % 32 * narrow + j / 32 * 32);
        const float key = float((keys + j * 32)[lane]);
        for (uint h = 0; h < TOGETHER; h++) scores[h] += query[h * d + j] * key;
    }
}

template <typename T, uint TOGETHER>
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
    threadgroup float shared[32 * 32 * TOGETHER];  // 32 weights of each head for each SIMD-group
    const uint index = group * simdgroups + simdgroup, d = args.d;
    const uint sharing = args.heads / args.kv_heads, runs = (sharing + TOGETHER - 1) / TOGETHER;
    const uint piece = index / (args.kv_heads * runs), begin = piece * args.piece, seen = state[1] + 1;
    if (piece >= args.pieces || begin >= seen) return;
    const uint rows = min(args.piece, seen - begin);
    const uint kv_head = index / runs % args.kv_heads, narrow = args.kv_heads * d;
    const uint own = index % runs * TOGETHER, from = min(own, sharing - TOGETHER);  // the last run begins among the one before
    const uint head = kv_head * sharing + from;
    device const float *query = q + head * d;
    device const T *keys = cache_k + (ulong(begin) * args.kv_heads + kv_head * 32) * d;
    device const T *values = cache_v + ulong(begin) * narrow + kv_head * d;
    threadgroup float *weights = shared + simdgroup * 32 * TOGETHER;

    float sums[SHARES][TOGETHER], largest[TOGETHER], mine[TOGETHER];  // mine: the weights of this lane's rows
    for (uint h = 0; h < TOGETHER; h++) {
        for (uint p = 0; p < SHARES; p++) sums[p][h] = 0.0f;
        largest[h] = -3.0e38f;
        mine[h] = 0.0f;
    }
    for (uint first = 0; first < rows; first += 32) {
        const uint n = min(rows - first, 32u);
        float scores[TOGETHER], shrink[TOGETHER];
        if (n == 32)  // said apart, or loads are masked
            score<T, TOGETHER>(scores, query, keys, values, narrow, d, lane);
        else if (lane < n)
            score<T, TOGETHER>(scores, query, keys, values, narrow, d, lane);
        for (uint h = 0; h < TOGETHER; h++) {
            const float scaled = lane < n ? scores[h] * args.scale : -3.0e38f;
            const float now = max(largest[h], simd_max(scaled));
            const float weight = lane < n ? exp(max(scaled - now, -128.0f)) : 0.0f;
            shrink[h] = exp(max(largest[h] - now, -128.0f));
            largest[h] = now;
            mine[h] = mine[h] * shrink[h] + weight;
            weights[h * 32 + lane] = weight;
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);
        for (uint p = 0; p < SHARES; p++) {
            if (p * 32 >= d) break;
            float sum[TOGETHER];
            device const T *v = values + p * 32;
            for (uint h = 0; h < TOGETHER; h++) sum[h] = sums[p][h] * shrink[h];
            for (uint s = 0; s < n; s++) {
                ask_ahead(keys + 32 * narrow + (p * 32 + s) * 32);
                const float value = float((v + s * narrow)[lane]);
                for (uint h = 0; h < TOGETHER; h++) sum[h] += weights[h * 32 + s] * value;
            }
            for (uint h = 0; h < TOGETHER; h++) sums[p][h] = sum[h];
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);
        keys += 32 * narrow;
        values += 32 * narrow;
    }
    for (uint h = own - from; h < TOGETHER; h++) {
        const float total = simd_sum(mine[h]);
        if (args.pieces == 1) {
            for (uint p = 0; p < SHARES; p++)
                if (p * 32 < d) {
                    const uint block = (head + h) * (d / 32) + p;
                    leave(next, args.heads * d, block, lane, sums[p][h] / total, 0.0f, args.nibbles != 0);
                }
            continue;
        }
        device float *part = parts + (ulong(piece) * args.heads + head + h) * (d + 2);
        for (uint p = 0; p < SHARES; p++)
            if (p * 32 < d) (part + p * 32)[lane] = sums[p][h];
        if (lane == 0) {
            part[d] = largest[h];
            part[d + 1] = total;
        }
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

#define FLASH(name, T, TOGETHER)                                                        \
    template [[host_name(name)]] kernel void flash<T, TOGETHER>(                        \
        device const float *, device const T *, device const T *, device const uint *, \
        device float *, device float *, constant Args &, uint, uint, uint, uint);
FLASH("flash_decode_1", float, 1)
FLASH("flash_decode_2", float, 2)
FLASH("flash_decode_3", float, 3)
FLASH("flash_decode_4", float, 4)
FLASH("flash_decode_1_f16", half, 1)
FLASH("flash_decode_2_f16", half, 2)
FLASH("flash_decode_3_f16", half, 3)
FLASH("flash_decode_4_f16", half, 4)
