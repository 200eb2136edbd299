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
// One thread an element of k and v; dispatch tokens * row threads. Called in every block before decode_attention; kv_store also
// copies the rows of one cache to another where a cache is forked.
//
//   pytest milestones/m4/test_kv_store.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint tokens;
    uint row;
    uint position;
};

// The half nearest to a float, both as bits, by whole numbers alone: fast math may flush subnormals and has no infinities.
static ushort half_of(uint bits) {
    const ushort sign = ushort((bits >> 16) & 0x8000u);
    const uint size = bits & 0x7FFFFFFFu;
    if (size > 0x7F800000u) return ushort(sign | 0x7E00u | ((size >> 13) & 0x1FFu));  // a NaN, quiet
    if (size >= 0x477FE000u) return ushort(sign | 0x7BFFu);                           // 65504 and above
    if (size < 0x33000000u) return sign;                                              // below half of the smallest subnormal
    // What is cut off: 13 bits of a normal half's mantissa, more of a subnormal's, whose leading 1 is written out.
    const bool subnormal = size < 0x38800000u;
    const uint digits = subnormal ? (size & 0x7FFFFFu) | 0x800000u : size - 0x38000000u;
    const uint cut = subnormal ? 126u - (size >> 23) : 13u;
    const uint rest = digits & ((1u << cut) - 1u), middle = 1u << (cut - 1u);
    const uint kept = digits >> cut;
    return ushort(sign | (kept + (rest > middle || (rest == middle && (kept & 1u) != 0) ? 1u : 0u)));
}

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

kernel void kv_store_f16(device const uint *k [[buffer(0)]],
                         device const uint *v [[buffer(1)]],
                         device ushort *cache_k [[buffer(2)]],
                         device ushort *cache_v [[buffer(3)]],
                         constant Args &args [[buffer(4)]],
                         uint i [[thread_position_in_grid]]) {
    if (i >= args.tokens * args.row) return;
    const ulong first = ulong(args.position) * args.row;
    (cache_k + first)[i] = half_of(k[i]);
    (cache_v + first)[i] = half_of(v[i]);
}
