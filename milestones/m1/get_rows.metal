// Rows of a table by number: out[i, j] = table[ids[i], j], bit for bit
//
//   buffer 0  table  uint [n, d]   read: the bits of floats, so that subnormals, -0 and NaNs pass fast math unchanged
//   buffer 1  ids    uint [k]      read
//   buffer 2  out    uint [k, d]   written, every element: the bits of floats
//   buffer 3  args   Args          read
//
// An id that is not below n reads nothing: its row is filled with the quiet NaN 0x7FC00BAD, because the host does not look
// at ids that the device made. One SIMD-group a row, its lanes striding over the columns; dispatch k * 32 threads. Called
// once a step for the tokens' embeddings, and for the last token's row before the output head.
//
//   pytest milestones/m1/test_get_rows.py
#include <metal_stdlib>
using namespace metal;

constant uint POISON = 0x7FC00BAD;

struct Args {
    uint n;
    uint d;
    uint k;
};

kernel void get_rows(device const uint *table [[buffer(0)]],
                     device const uint *ids [[buffer(1)]],
                     device uint *out [[buffer(2)]],
                     constant Args &args [[buffer(3)]],
                     uint group [[threadgroup_position_in_grid]],
                     uint simdgroups [[simdgroups_per_threadgroup]],
                     uint simdgroup [[simdgroup_index_in_threadgroup]],
                     uint lane [[thread_index_in_simdgroup]]) {
    const uint i = group * simdgroups + simdgroup;
    if (i >= args.k) return;
    const uint id = ids[i];
    device uint *to = out + ulong(i) * args.d;
    if (id >= args.n) {
        for (uint j = lane; j < args.d; j += 32) to[j] = POISON;
        return;
    }
    device const uint *from = table + ulong(id) * args.d;
    for (uint j = lane; j < args.d; j += 32) to[j] = from[j];
}
