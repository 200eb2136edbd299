// KV store: cache_k[position + t] = k[t] and cache_v[position + t] = v[t] for every new token t, bit for bit
//
//   buffer 0  k        uint [tokens, row]     read: the bits of floats, so that fast math cannot touch them
//   buffer 1  v        uint [tokens, row]     read
//   buffer 2  cache_k  uint [capacity, row]   written, rows position … position + tokens - 1 only
//   buffer 3  cache_v  uint [capacity, row]   written, the same rows
//   buffer 4  args     Args                   read; row = kv_heads * d
//
// One thread an element of k and v; dispatch tokens * row threads. Called in every block before decode_attention.
//
//   pytest milestones/m4/test_kv_store.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint tokens;
    uint row;
    uint position;
};

kernel void kv_store(device const uint *k [[buffer(0)]],
                     device const uint *v [[buffer(1)]],
                     device uint *cache_k [[buffer(2)]],
                     device uint *cache_v [[buffer(3)]],
                     constant Args &args [[buffer(4)]],
                     uint i [[thread_position_in_grid]]) {
    if (i >= args.tokens * args.row) return;
    const ulong first = ulong(args.position) * args.row;
    (cache_k + first)[i] = k[i];
    (cache_v + first)[i] = v[i];
}
