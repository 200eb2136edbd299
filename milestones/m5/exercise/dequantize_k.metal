// Dequantization of the kinds that m1 leaves out, one kernel a kind: dequantize_q5_0, _q5_1, _q4_k, _q5_k, _q6_k
//
//   buffer 0  raw   uchar [bytes]   read, as the file holds it: formats in k_blocks.h
//   buffer 1  y     uint [count]    to be written, every element: the bits of floats
//   buffer 2  args  Args            read
//
// Dispatched with ceil(count / 512) * 32 threads: one SIMD-group for 16 runs of 32 values, which are two blocks of eight runs
// or 16 blocks of one; a lane for one value of each run. count is a multiple of 32, of 256 for the K kinds. There are
// SIMD-groups without any run, and the last one may have fewer than 16. Nothing past the last value may be read or written.
// Called once a tensor, when a model is loaded.
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
    // Your task: write the values of this SIMD-group's runs; then, in k_blocks.h, each kind's bits.
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
