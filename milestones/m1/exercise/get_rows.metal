// Rows of a table by number, dequantized: out[i, j] = table[ids[i], j]; one kernel a kind: get_rows_f32, _f16, _bf16, _q8_0,
// _q4_0, _q4_1
//
//   buffer 0  table  uchar [n rows]  read, as the file holds it; a row is d values
//   buffer 1  ids    uint [k]        read
//   buffer 2  out    uint [k, d]     to be written, every element: the bits of floats
//   buffer 3  args   Args            read
//
// All six are this one template. 32 values lie in Kind::bytes() bytes, one run of 32 behind the other, and
// Kind::bits(block, lane), in your blocks.h (or ours, if you have none), gives the bits of value `lane` (0 to 31) of the
// run that begins at `block`. For Q8_0, Q4_0 and Q4_1, d is a multiple of 32; for F32, F16 and BF16 it is any number from 1
// on, a row's last run may be cut short, and the next row begins right behind it. The table may have more than 2^32 bytes.
//
// The ids lie on the device, where a kernel may have made them, and the host does not look at them. For one that is not below n
// nothing of the table may be read: each of its row's elements gets the bits POISON, a quiet NaN.
//
// Dispatched with k * 32 threads: one SIMD-group (32 lanes) a row. The dispatch is rounded up to whole threadgroups, of 1
// SIMD-group or as many as 32, so there are SIMD-groups with i >= k: they must read no id and write nothing.
//
// Called once a step for the tokens' embeddings, and for the last token's row before the output head.
//
//   pytest -x milestones/m1/test_get_rows.py
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
    // Your task: write the row of this SIMD-group's id, if there is one.
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
