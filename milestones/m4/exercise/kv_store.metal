// KV store: cache_k[position + t] = k[t] and cache_v[position + t] = v[t] for every new token t
//
//   kv_store      into a cache of floats, bit for bit
//   kv_store_f16  into a cache of halves: rounded to the nearest, ties to even; what is too large for a half becomes ±65504, the
//                 largest one, never infinity; what is too small for a normal half becomes a subnormal one, or ±0; a NaN stays
//                 a NaN: its sign, its upper 10 bits, and the topmost of these set (that makes it quiet)
//
//   buffer 0  k        uint [tokens, row]             read: the bits of floats, so that fast math cannot touch them
//   buffer 1  v        uint [tokens, row]             read
//   buffer 2  cache_k  uint or ushort [capacity, row] written, rows position … position + tokens - 1 only: bits too
//   buffer 3  cache_v  uint or ushort [capacity, row] written, the same rows
//   buffer 4  args     Args                           read; row = kv_heads * d
//
// What the host has seen to: the rows fit into the cache; tokens * row threads are asked for, so one a number of k (and of v).
// What it has not: the dispatch is rounded up to whole threadgroups, so threads i >= tokens * row run too, and must do nothing.
// position * row may pass 2^32 in a long context: that product belongs into a ulong.
// Called in every block before decode_attention; kv_store also copies the rows of one cache to another where a cache is forked.
//
//   pytest -x milestones/m4/test_kv_store.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint tokens;    // how many are new
    uint row;       // numbers in a row of k, and of a cache
    uint position;  // the cache's row for the first new token
};

kernel void kv_store(device const uint *k [[buffer(0)]],
                     device const uint *v [[buffer(1)]],
                     device uint *cache_k [[buffer(2)]],
                     device uint *cache_v [[buffer(3)]],
                     constant Args &args [[buffer(4)]],
                     uint i [[thread_position_in_grid]]) {
    // Your task: thread i moves number i of k and number i of v to their places in the caches.
}

kernel void kv_store_f16(device const uint *k [[buffer(0)]],
                         device const uint *v [[buffer(1)]],
                         device ushort *cache_k [[buffer(2)]],
                         device ushort *cache_v [[buffer(3)]],
                         constant Args &args [[buffer(4)]],
                         uint i [[thread_position_in_grid]]) {
    // Your task, its second half: the same, with each float rounded to a half. A float is 1 bit of sign, 8 of exponent (plus 127)
    // and 23 of mantissa; a half is 1, 5 (plus 15) and 10. Do it by whole numbers: fast math knows no infinity and may flush
    // subnormals, so half(as_type<float>(k[i])) is not good enough.
}
