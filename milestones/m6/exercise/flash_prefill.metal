// Causal attention of a block of tokens over a cache, in one pass: for head h of token t at position p + t, with g = h / (heads / kv_heads),
//     y[t, h] = sum_{s <= p + t} w[s] * v[s, g] / sum_{s <= p + t} w[s],   w[s] = exp(score[s] - max score)
//     score[s] = dot(q[t, h], k[s, g]) / sqrt(d)
//
//   buffer 0  q        float [tokens, heads, d]      read
//   buffer 1  cache_k  T [tiles, kv_heads, d, 32]    read, rows 0 … p + tokens - 1 only: row s is number s % 32 of tile s / 32
//   buffer 2  cache_v  T [capacity, kv_heads, d]     read, the same rows
//   buffer 3  y        Y [tokens, heads, d]          to be written, every element; must not overlap the others
//   buffer 4  args     Args                          read
//
//   flash_prefill (T = float), flash_prefill_f16 (T = half); Y = float; with _to_f16 behind the name Y = half, infinite beyond 65504
//
// A lane owns a token: its query, its largest score so far, its sum of weights and its weighted sum of values are the lane's own.
//
// One SIMD-group a (32 tokens, head): dispatch ceil(tokens / 32) * heads * 32 threads. The last tokens come first: they see most rows.
// d <= 128. Called once a block for a chunk of a prompt, after rope_store.
//
//   pytest milestones/m6/test_flash_prefill.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint tokens;
    uint heads;
    uint kv_heads;
    uint d;
    float scale;
    uint position;
};

template <typename T, typename Y>
kernel void flash(device const float *q [[buffer(0)]],
                  device const T *cache_k [[buffer(1)]],
                  device const T *cache_v [[buffer(2)]],
                  device Y *y [[buffer(3)]],
                  constant Args &args [[buffer(4)]],
                  uint group [[threadgroup_position_in_grid]],
                  uint simdgroups [[simdgroups_per_threadgroup]],
                  uint simdgroup [[simdgroup_index_in_threadgroup]],
                  uint lane [[thread_index_in_simdgroup]]) {
    // Your task: lane's token of this SIMD-group's 32, with one head: write its attention over the rows that it sees.
}

#define FLASH(name, T, Y)                                                                                            \
    template [[host_name(name)]] kernel void flash<T, Y>(device const float *, device const T *, device const T *,   \
                                                         device Y *, constant Args &, uint, uint, uint, uint);
FLASH("flash_prefill", float, float)
FLASH("flash_prefill_f16", half, float)
FLASH("flash_prefill_to_f16", float, half)
FLASH("flash_prefill_f16_to_f16", half, half)
