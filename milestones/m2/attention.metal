// Causal self-attention, grouped queries, for head h of token t, with g = h / (heads / kv_heads):
//     y[t, h] = sum_{s <= t} w[s] * v[s, g] / sum_{s <= t} w[s],   w[s] = exp(score[s] - max score)
//     score[s] = dot(q[t, h], k[s, g]) * scale,   scale = 1 / sqrt(d)
//
//   buffer 0  q     float [tokens, heads, d]      read
//   buffer 1  k     float [tokens, kv_heads, d]   read
//   buffer 2  v     float [tokens, kv_heads, d]   read
//   buffer 3  y     float [tokens, heads, d]      written, every element; must not overlap q, k or v
//   buffer 4  args  Args                          read
//
// One SIMD-group a (token, head): lane l holds elements l, l + 32, ... of the head, d <= 256. Two passes over the keys, the first
// for the largest score, the second for the sums: subtracting it keeps exp from overflowing and changes nothing else (numerator
// and denominator shrink alike). Nothing is masked, so no -INFINITY is needed: keys after t are simply not visited.
// Dispatch tokens * heads * 32 threads. Called once a block where there is no cache.
//
//   pytest milestones/m2/test_attention.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint tokens;
    uint heads;
    uint kv_heads;
    uint d;
    float scale;
};

constexpr constant uint PIECES = 8;  // 8 * 32 lanes = 256, the largest d

// The score of one key, the same in all lanes. `q` is the lane's share of the query, `k` the whole key.
static float score_of(thread const float *q, device const float *k, uint d, float scale, uint lane) {
    float sum = 0.0f;
    for (uint p = 0; p < PIECES; p++)
        if (p * 32 + lane < d) sum += q[p] * (k + p * 32)[lane];
    return simd_sum(sum) * scale;
}

kernel void attention(device const float *q [[buffer(0)]],
                      device const float *k [[buffer(1)]],
                      device const float *v [[buffer(2)]],
                      device float *y [[buffer(3)]],
                      constant Args &args [[buffer(4)]],
                      uint group [[threadgroup_position_in_grid]],
                      uint simdgroups [[simdgroups_per_threadgroup]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]]) {
    const uint row = group * simdgroups + simdgroup;  // token * heads + head
    if (row >= args.tokens * args.heads) return;      // the rounded-up tail: whole SIMD-groups, so simd_sum is never split
    const uint d = args.d, token = row / args.heads, head = row % args.heads;
    const uint kv_head = head / (args.heads / args.kv_heads);
    const ulong stride = ulong(args.kv_heads) * d;  // from a token's keys to the next token's
    device const float *keys = k + kv_head * d;
    device const float *values = v + kv_head * d;

    float query[PIECES], sums[PIECES];
    for (uint p = 0; p < PIECES; p++) {
        sums[p] = 0.0f;
        query[p] = p * 32 + lane < d ? q[ulong(row) * d + p * 32 + lane] : 0.0f;
    }

    float largest = score_of(query, keys, d, args.scale, lane);
    for (uint s = 1; s <= token; s++) largest = max(largest, score_of(query, keys + s * stride, d, args.scale, lane));

    float total = 0.0f;
    for (uint s = 0; s <= token; s++) {
        const float weight = exp(score_of(query, keys + s * stride, d, args.scale, lane) - largest);
        total += weight;
        for (uint p = 0; p < PIECES; p++)
            if (p * 32 + lane < d) sums[p] += weight * (values + s * stride + p * 32)[lane];
    }
    for (uint p = 0; p < PIECES; p++)
        if (p * 32 + lane < d) y[ulong(row) * d + p * 32 + lane] = sums[p] / total;
}
