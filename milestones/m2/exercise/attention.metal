// Causal self-attention, grouped queries, for head h of token t, with g = h / (heads / kv_heads), a whole number:
//     y[t, h] = sum_{s <= t} w[s] * v[s, g] / sum_{s <= t} w[s],   w[s] = exp(score[s] - max score)
//     score[s] = dot(q[t, h], k[s, g]) * scale,   scale = 1 / sqrt(d)
//
//   buffer 0  q     float [tokens, heads, d]      read
//   buffer 1  k     float [tokens, kv_heads, d]   read
//   buffer 2  v     float [tokens, kv_heads, d]   read
//   buffer 3  y     float [tokens, heads, d]      to be written, every element; never q, k or v
//   buffer 4  args  Args                          read
//
// Dispatched with tokens * heads * 32 threads: one SIMD-group (32 lanes) a (token, head), first all heads of token 0, then
// those of token 1, … The dispatch is rounded up to whole threadgroups: SIMD-groups past tokens * heads must read and write
// nothing. heads is a multiple of kv_heads. d is from 1 to 256, a multiple of 32 or not: a lane's share of a head is at most 8 elements.
//
// Scores may be in the thousands, of either sign, so the largest score of a row must be subtracted before exp: e^1000 has no
// float32, and the sum of a row of e^-1000 is 0. The max score of a row is that of the keys it sees. -INFINITY must not be
// used: fast math may do anything with it. Nothing that a later token holds may change an output, not by a bit.
//
// Called once a block where there is no cache.
//
//   pytest -x milestones/m2/test_attention.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint tokens;
    uint heads;
    uint kv_heads;
    uint d;
    float scale;
};

kernel void attention(device const float *q [[buffer(0)]],
                      device const float *k [[buffer(1)]],
                      device const float *v [[buffer(2)]],
                      device float *y [[buffer(3)]],
                      constant Args &args [[buffer(4)]],
                      uint group [[threadgroup_position_in_grid]],
                      uint simdgroups [[simdgroups_per_threadgroup]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write the head of y that belongs to this SIMD-group, if there is one.
}
