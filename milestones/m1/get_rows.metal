// Rows of a table by number, dequantized: out[i, j] = table[ids[i], j]; one kernel a kind: get_rows_f32, _f16, _bf16, _q8_0,
// _q4_0, _q4_1
//
//   buffer 0  table  uchar [n rows]  read, as the file holds it: formats in blocks.h; a row is d values, whole blocks
//   buffer 1  ids    uint [k]        read
//   buffer 2  out    uint [k, d]     written, every element: the bits of floats
//   buffer 3  args   Args            read
//
// An id that is not below n reads nothing: its row is filled with the quiet NaN 0x7FC00BAD, because the host does not look
// at ids that the device made. One SIMD-group a row, a lane one value of 32 at a time; dispatch k * 32 threads. Called
// once a step for the tokens' embeddings, and for the last token's row before the output head.
//
//   pytest milestones/m1/test_get_rows.py
#include <metal_stdlib>
using namespace metal;

#include "blocks.h"

constant uint POISON = 0x7FC00BAD;

struct Args {
    uint n;
    uint d;
    uint k;
};

template <typename Kind>
kernel void get_rows(device const uchar *table [[buffer(0)]],
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
    device const uchar *row = table + ulong(id) * args.d * Kind::bytes() / 32;
    for (uint j = lane; j < args.d; j += 32) to[j] = Kind::bits(row + ulong(j / 32) * Kind::bytes(), lane);
}

template [[host_name("get_rows_f32")]] kernel void get_rows<F32>(device const uchar *, device const uint *, device uint *,
                                                                 constant Args &, uint, uint, uint, uint);
template [[host_name("get_rows_f16")]] kernel void get_rows<F16>(device const uchar *, device const uint *, device uint *,
                                                                 constant Args &, uint, uint, uint, uint);
template [[host_name("get_rows_bf16")]] kernel void get_rows<BF16>(device const uchar *, device const uint *, device uint *,
                                                                   constant Args &, uint, uint, uint, uint);
template [[host_name("get_rows_q8_0")]] kernel void get_rows<Q8_0>(device const uchar *, device const uint *, device uint *,
                                                                   constant Args &, uint, uint, uint, uint);
template [[host_name("get_rows_q4_0")]] kernel void get_rows<Q4_0>(device const uchar *, device const uint *, device uint *,
                                                                   constant Args &, uint, uint, uint, uint);
template [[host_name("get_rows_q4_1")]] kernel void get_rows<Q4_1>(device const uchar *, device const uint *, device uint *,
                                                                   constant Args &, uint, uint, uint, uint);
