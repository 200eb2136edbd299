// Attention of new tokens over a cache, for head h of new token t at position p + t, with g = h / (heads / kv_heads):
//     y[t, h] = sum_{s <= p + t} w[s] * v[s, g] / sum_{s <= p + t} w[s],   w[s] = exp(score[s] - max score)
//     score[s] = dot(q[t, h], k[s, g]) * scale,   scale = 1 / sqrt(d),   p = args.position
//
//   buffer 0  q        float [tokens, heads, d]        read
//   buffer 1  cache_k  T [capacity, kv_heads, d]       read, rows 0 … p + tokens - 1 only
//   buffer 2  cache_v  T [capacity, kv_heads, d]       read, the same rows
//   buffer 3  y        float [tokens, heads, d]        written, every element; must not overlap the others
//   buffer 4  args     Args                            read
//
//   decode_attention      T = float
//   decode_attention_f16  T = half: each element becomes a float, exactly, when it is loaded; all arithmetic is in float
//
// m2's attention with the keys and values of earlier tokens taken from the cache: one SIMD-group a (token, head), lane l holds
// elements l, l + 32, … of the head, d <= 256; a first pass over the keys finds the largest score, a second makes the sums. Rows
// after p + t are not visited, so nothing is masked. With tokens = 1 it is decode, with more it is a chunk of prefill.
// Dispatch tokens * heads * 32 threads. Called once a block and step, after kv_store.
//
//   pytest milestones/m4/test_decode_attention.py
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

constexpr constant uint PIECES = 8;  // 8 * 32 lanes = 256, the largest d

// The score of one key, the same in all lanes. `q` is the lane's share of the query, `k` the whole key.
template <typename T>
static float score_of(thread const float *q, device const T *k, uint d, float scale, uint lane) {
    float sum = 0.0f;
    for (uint p = 0; p < PIECES; p++)
        if (p * 32 + lane < d) sum += q[p] * float((k + p * 32)[lane]);
    return simd_sum(sum) * scale;
}

template <typename T>
kernel void attention_over(device const float *q [[buffer(0)]],
                           device const T *cache_k [[buffer(1)]],
                           device const T *cache_v [[buffer(2)]],
                           device float *y [[buffer(3)]],
                           constant Args &args [[buffer(4)]],
                           uint group [[threadgroup_position_in_grid]],
                           uint simdgroups [[simdgroups_per_threadgroup]],
                           uint simdgroup [[simdgroup_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]]) {
    const uint row = group * simdgroups + simdgroup;  // token * heads + head
    if (row >= args.tokens * args.heads) return;      // the rounded-up tail: whole SIMD-groups, so simd_sum is never split
    const uint d = args.d, last = args.position + row / args.heads, head = row % args.heads;
    const uint kv_head = head / (args.heads / args.kv_heads);
    const ulong stride = ulong(args.kv_heads) * d;  // from a row of the cache to the next
    device const T *keys = cache_k + kv_head * d;
    device const T *values = cache_v + kv_head * d;

    float query[PIECES], sums[PIECES];
    for (uint p = 0; p < PIECES; p++) {
        sums[p] = 0.0f;
        query[p] = p * 32 + lane < d ? q[ulong(row) * d + p * 32 + lane] : 0.0f;
    }

    float largest = score_of(query, keys, d, args.scale, lane);
    for (uint s = 1; s <= last; s++) largest = max(largest, score_of(query, keys + s * stride, d, args.scale, lane));

    float total = 0.0f;
    for (uint s = 0; s <= last; s++) {
        const float weight = exp(score_of(query, keys + s * stride, d, args.scale, lane) - largest);
        total += weight;
        for (uint p = 0; p < PIECES; p++)
            if (p * 32 + lane < d) sums[p] += weight * float((values + s * stride + p * 32)[lane]);
    }
    for (uint p = 0; p < PIECES; p++)
        if (p * 32 + lane < d) y[ulong(row) * d + p * 32 + lane] = sums[p] / total;
}

template [[host_name("decode_attention")]] kernel void attention_over<float>(device const float *, device const float *,
                                                                             device const float *, device float *,
                                                                             constant Args &, uint, uint, uint, uint);
template [[host_name("decode_attention_f16")]] kernel void attention_over<half>(device const float *, device const half *,
                                                                                device const half *, device float *,
                                                                                constant Args &, uint, uint, uint, uint);
