// Dequantization of the kinds that m1 leaves out, one kernel a kind: dequantize_q5_0, _q5_1, _q4_k, _q5_k, _q6_k
//
//   buffer 0  raw   uchar [bytes]   read, as the file holds it: formats in k_blocks.h
//   buffer 1  y     uint [count]    written, every element: the bits of floats
//   buffer 2  args  Args            read
//
// One SIMD-group takes 16 runs of 32 values, one or two blocks of eight runs or 16 blocks of one; a lane one value of each
// run. count is a multiple of 32, of 256 for the K kinds. Dispatch ceil(count / 512) * 32 threads. Called once a tensor, when
// a model is loaded.
//
//   pytest milestones/m5/test_dequantize_k.py
#include <metal_stdlib>
using namespace metal;

#include "k_blocks.h"

constexpr constant uint RUNS = 16;  // by one SIMD-group

struct Args {
    ulong count;  // values
};

template <typename Kind>
kernel void dequantize_k(device const uchar *raw [[buffer(0)]],
                         device uint *y [[buffer(1)]],
                         constant Args &args [[buffer(2)]],
                         uint group [[threadgroup_position_in_grid]],
                         uint simdgroups [[simdgroups_per_threadgroup]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]]) {
    const ulong first = ulong(group * simdgroups + simdgroup) * RUNS;
    const ulong end = min(first + RUNS, args.count / 32);
    for (ulong run = first; run < end; run++) {
        device const uchar *block = raw + run / Kind::runs() * Kind::bytes();
        y[run * 32 + lane] = Kind::bits(block, uint(run % Kind::runs()), lane);
    }
}

template [[host_name("dequantize_q5_0")]] kernel void dequantize_k<Q5_0>(device const uchar *, device uint *, constant Args &,
                                                                         uint, uint, uint, uint);
template [[host_name("dequantize_q5_1")]] kernel void dequantize_k<Q5_1>(device const uchar *, device uint *, constant Args &,
                                                                         uint, uint, uint, uint);
template [[host_name("dequantize_q4_k")]] kernel void dequantize_k<Q4_K>(device const uchar *, device uint *, constant Args &,
                                                                         uint, uint, uint, uint);
template [[host_name("dequantize_q5_k")]] kernel void dequantize_k<Q5_K>(device const uchar *, device uint *, constant Args &,
                                                                         uint, uint, uint, uint);
template [[host_name("dequantize_q6_k")]] kernel void dequantize_k<Q6_K>(device const uchar *, device uint *, constant Args &,
                                                                         uint, uint, uint, uint);
