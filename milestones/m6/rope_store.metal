// After a chunk's product with the weights of query, key and value: q and k turned by RoPE, k and v stored in the cache
//     (a, b) -> (a * cos - b * sin, a * sin + b * cos) for each pair of q and k at the token's position (m2's rope.metal)
//
//   buffer 0  qkv      float [tokens, wide + 2 narrow]  read: q, k, v of each token; RoPE's pairs are neighbours
//   buffer 1  turns    ulong [d / 2]                    read, as m2's rope.metal has them
//   buffer 2  q        float [tokens, heads, d]         written, every element
//   buffer 3  cache_k  T [tiles, kv_heads, d, 32]       written, rows position … position + tokens - 1 only: row s is number
//                                                       s % 32 of tile s / 32
//   buffer 4  cache_v  T [capacity, kv_heads, d]        written, the same rows
//   buffer 5  args     Args                             read
//
//   rope_store: T = float; rope_store_f16: T = half, the nearest, at most 65504 in size
//
// With args.halves a pair is (i, i + d/2) of the head, and stands side by side only in the packed weight and so in qkv.
//
// One thread a pair: dispatch tokens * (wide + 2 narrow) / 2 threads. Called once a block for a chunk of a prompt.
//
//   pytest milestones/m6/test_rope_store.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint tokens;
    uint wide;    // heads * d
    uint narrow;  // kv_heads * d
    uint d;
    uint position;
    uint halves;
};

constant float RADIANS = 1.4629180792671596e-9f;  // 2π / 2^32

inline void keep(device float *at, float value) { *at = value; }
inline void keep(device half *at, float value) { *at = half(clamp(value, -65504.0f, 65504.0f)); }

template <typename T>
kernel void turn_and_store(device const float *qkv [[buffer(0)]],
                           device const ulong *turns [[buffer(1)]],
                           device float *q [[buffer(2)]],
                           device T *cache_k [[buffer(3)]],
                           device T *cache_v [[buffer(4)]],
                           constant Args &args [[buffer(5)]],
                           uint pair [[thread_position_in_grid]]) {
    const uint wide = args.wide, narrow = args.narrow, d = args.d, pairs = wide / 2 + narrow;
    if (pair >= args.tokens * pairs) return;  // the rounded-up tail
    const uint token = pair / pairs, column = pair % pairs * 2;
    const float a = qkv[2 * ulong(pair)], b = qkv[2 * ulong(pair) + 1];
    const uint row = args.position + token;
    if (column >= wide + narrow) {
        device T *at = cache_v + ulong(row) * narrow + (column - wide - narrow);
        keep(at, a);
        keep(at + 1, b);
        return;
    }
    const uint of = column >= wide ? column - wide : column, i = of % d / 2;
    const ulong phase = ulong(row) * turns[i];
    const float angle = float(as_type<int>(uint(phase >> 32))) * RADIANS;
    const float c = precise::cos(angle), s = precise::sin(angle);
    const uint first = args.halves != 0 ? of - of % d + i : of, second = first + (args.halves != 0 ? d / 2 : 1);
    if (column >= wide) {
        device T *tile = cache_k + ulong(row / 32) * narrow * 32 + row % 32;
        keep(tile + first * 32, a * c - b * s);
        keep(tile + second * 32, a * s + b * c);
    } else {
        device float *at = q + ulong(token) * wide;
        at[first] = a * c - b * s;
        at[second] = a * s + b * c;
    }
}

template [[host_name("rope_store")]] kernel void turn_and_store<float>(device const float *, device const ulong *, device float *,
                                                                       device float *, device float *, constant Args &, uint);
template [[host_name("rope_store_f16")]] kernel void turn_and_store<half>(device const float *, device const ulong *, device float *,
                                                                          device half *, device half *, constant Args &, uint);
