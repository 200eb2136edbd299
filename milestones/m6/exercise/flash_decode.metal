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
//     buffer 4  parts    float [pieces, heads, d + 2]   to be written for the pieces that begin at or before p: the sum, the largest
//                                                       score, the weights; with args.pieces = 1 not at all
//     buffer 5  next     float [heads * d * 17 / 16]    to be written with args.pieces = 1: y and sums, prepared (prepared.h); the
//                                                       squares are of no use
//     buffer 6  args     Args                           read
//   merge_pieces
//     buffer 0  parts    as above                       read, the same pieces
//     buffer 1  state    as above                       read
//     buffer 2  next     as above                       to be written
//     buffer 3  args     Args                           read
//
// The keys lie transposed, 32 rows together: a lane has a row, and its neighbours' keys lie beside its own.
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
    // Your task: this piece's weighted sum of values, largest score and sum of weights, for each of TOGETHER heads; with
    // args.pieces = 1 their attention, left for the next kernel. Begin with TOGETHER = 1 in mind, one head a SIMD-group.
}

kernel void merge_pieces(device const float *parts [[buffer(0)]],
                         device const uint *state [[buffer(1)]],
                         device float *next [[buffer(2)]],
                         constant Args &args [[buffer(3)]],
                         uint group [[threadgroup_position_in_grid]],
                         uint simdgroups [[simdgroups_per_threadgroup]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]]) {
    // Your task, its second part: put the pieces together for value block * 32 + lane, and leave it for the next kernel.
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
