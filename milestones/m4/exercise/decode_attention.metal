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
// What the host has seen to: shapes fit; d <= 256; heads is a multiple of kv_heads; the rows that are seen are stored. It asks for
// tokens * heads * 32 threads: one SIMD-group of 32 lanes a (token, head). Threadgroups are of any width that is a multiple of
// 32, the same code must serve them all, and the last one may hold SIMD-groups for which there is no (token, head).
// What must hold: rows after p + t are not read (nobody has written the last ones, and a chunk's later rows are not t's business);
// scores of hundreds neither overflow nor vanish (that is why the largest is subtracted); a chunk of tokens gives bit for bit what
// its tokens give one by one. With tokens = 1 this is decode, with more it is a chunk of prefill.
// Called once a block and step, after kv_store.
//
//   pytest -x milestones/m4/test_decode_attention.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint tokens;
    uint heads;
    uint kv_heads;
    uint d;
    float scale;    // 1 / sqrt(d), worked out by the host
    uint position;  // p: how many tokens the cache held before these
};

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
    // Your task: this SIMD-group's answer, y[t, h, 0 … d - 1], for the one (t, h) that is its own.
}

// One source, two kernels: the template is written out for each type of cache, under the name that the host asks for.
template [[host_name("decode_attention")]] kernel void attention_over<float>(device const float *, device const float *,
                                                                             device const float *, device float *,
                                                                             constant Args &, uint, uint, uint, uint);
template [[host_name("decode_attention_f16")]] kernel void attention_over<half>(device const float *, device const half *,
                                                                                device const half *, device float *,
                                                                                constant Args &, uint, uint, uint, uint);
