// Causal attention of a block of tokens over a cache, in one pass: for head h of token t at position p + t, with g = h / (heads / kv_heads),
//     y[t, h] = sum_{s <= p + t} w[s] * v[s, g] / sum_{s <= p + t} w[s],   w[s] = exp(score[s] - max score)
//     score[s] = dot(q[t, h], k[s, g]) / sqrt(d)
//
//   buffer 0  q        float [tokens, heads, d]      read
//   buffer 1  cache_k  T [tiles, kv_heads, d, 32]    read, rows 0 … p + tokens - 1 only: row s is number s % 32 of tile s / 32
//   buffer 2  cache_v  T [capacity, kv_heads, d]     read, the same rows
//   buffer 3  y        Y [tokens, heads, d]          written, every element; must not overlap the others
//   buffer 4  args     Args                          read
//
//   flash_prefill (T = float), flash_prefill_f16 (T = half); Y = float; with _to_f16 behind the name Y = half, infinite beyond 65504
//
// Idea: 32 tokens share each key and value. A lane owns a token: its query, its largest score so far, its sum of weights and its weighted
// sum of values are the lane's own, so nothing is summed across lanes, where m4's kernel needs a simd_sum for every score. An element of
// a key or value is the same for all lanes, and is loaded once for 32 products. Keys come 32 at a time: scores, the new largest, weights;
// what was summed before is multiplied by exp(old largest - new largest) (FlashAttention, online softmax). Scores never leave the lane.
// Prediction, portable device: the loops over scores and over values have matmul_q's shape, two rows at a time, so its speed.
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

constant float LEAST = -3.0e38f;  // of what is not seen; finite, as fast math knows no infinity

// The scores of two keys of a tile for lane's query.
template <typename T>
inline float2 scores_of(thread const float *q, device const T *k, device const T *l, uint d) {
    float a = 0.0f, b = 0.0f;
    for (uint e = 0; e < d; e++) {
        a += q[e] * float(k[e * 32]);
        b += q[e] * float(l[e * 32]);
    }
    return float2(a, b);
}

// What n weights make of two neighbouring elements of the values, rows `stride` apart.
template <typename T>
inline float2 weighted(thread const float *w, device const T *v, uint n, ulong stride) {
    float a = 0.0f, b = 0.0f;
    for (uint s = 0; s < n; s++, v += stride) {
        a += w[s] * float(v[0]);
        b += w[s] * float(v[1]);
    }
    return float2(a, b);
}

template <typename T, typename Y, uint D>
inline void attend(device const float *q,
                   device const T *keys,
                   device const T *values,
                   device Y *y,
                   uint own,   // rows that lane's token sees
                   uint seen,  // rows that one of the tokens sees
                   bool filled,
                   constant Args &args) {
    const uint d = args.d;
    const ulong stride = ulong(args.kv_heads) * d;
    float query[D], sums[D], w[32], largest = LEAST, total = 0.0f;
    for (uint e = 0; e < d; e++) {
        query[e] = q[e] * args.scale;
        sums[e] = 0.0f;
    }
    for (uint first = 0; first < seen; first += 32) {
        const uint n = min(seen - first, 32u);
        device const T *k = keys + first * stride, *v = values + first * stride;
        float now = largest;
        for (uint s = 0; s < n; s += 2) {
            const uint other = min(s + 1, n - 1);
            const float2 both = scores_of(query, k + s, k + other, d);
            w[s] = first + s < own ? both.x : LEAST;
            if (other != s) w[other] = first + other < own ? both.y : LEAST;
            now = max(now, max(w[s], w[other]));
        }
        const float shrink = exp(max(largest - now, -128.0f));
        largest = now;
        total *= shrink;
        for (uint s = 0; s < n; s++) {
            w[s] = first + s < own ? exp(max(w[s] - now, -128.0f)) : 0.0f;
            total += w[s];
        }
        for (uint e = 0; e + 1 < d; e += 2) {
            const float2 both = weighted(w, v + e, n, stride);
            sums[e] = sums[e] * shrink + both.x;
            sums[e + 1] = sums[e + 1] * shrink + both.y;
        }
    }
    if (filled)
        for (uint e = 0; e < d; e++) y[e] = Y(sums[e] / total);
}

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
    const uint index = group * simdgroups + simdgroup, blocks = (args.tokens + 31) / 32;
    const uint head = index % args.heads, from = index / args.heads;
    if (from >= blocks) return;  // the rounded-up tail
    const uint token = (blocks - 1 - from) * 32 + lane, mine = min(token, args.tokens - 1), last = min(token - lane + 32, args.tokens);
    const ulong at = (ulong(mine) * args.heads + head) * args.d;
    const uint key = head / (args.heads / args.kv_heads) * args.d, own = args.position + mine + 1, seen = args.position + last;
    const bool filled = token < args.tokens;
    if (args.d <= 64) attend<T, Y, 64>(q + at, cache_k + key * 32, cache_v + key, y + at, own, seen, filled, args);
    else attend<T, Y, 128>(q + at, cache_k + key * 32, cache_v + key, y + at, own, seen, filled, args);
}

#define FLASH(name, T, Y)                                                                                            \
    template [[host_name(name)]] kernel void flash<T, Y>(device const float *, device const T *, device const T *,   \
                                                         device Y *, constant Args &, uint, uint, uint, uint);
FLASH("flash_prefill", float, float)
FLASH("flash_prefill_f16", half, float)
FLASH("flash_prefill_to_f16", float, half)
FLASH("flash_prefill_f16_to_f16", half, half)
