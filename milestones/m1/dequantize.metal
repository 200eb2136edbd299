// Dequantization: the bytes of a tensor to float, one kernel a kind: dequantize_f32, _f16, _bf16, _q8_0, _q4_0, _q4_1
//
//   buffer 0  raw   uchar [bytes]   read, as the file holds it: formats in blocks.h
//   buffer 1  y     uint [count]    written, every element: the bits of floats
//   buffer 2  args  Args            read
//
// One SIMD-group takes 16 runs of 32 values, a lane one value of each: a SIMD-group's loads and stores lie side by side.
// Dispatch ceil(count / 512) * 32 threads. count is a multiple of 32 for the kinds with blocks. Called once a tensor, when
// a model is loaded.
//
//   pytest milestones/m1/test_dequantize.py
#include <metal_stdlib>
using namespace metal;

#include "blocks.h"

constexpr constant uint RUNS = 16;  // of 32 values, by one SIMD-group

struct Args {
    ulong count;  // values
};

template <typename Kind>
kernel void dequantize(device const uchar *raw [[buffer(0)]],
                       device uint *y [[buffer(1)]],
                       constant Args &args [[buffer(2)]],
                       uint group [[threadgroup_position_in_grid]],
                       uint simdgroups [[simdgroups_per_threadgroup]],
                       uint simdgroup [[simdgroup_index_in_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]]) {
    const ulong first = ulong(group * simdgroups + simdgroup) * RUNS;  // run
    device const uchar *block = raw + first * Kind::bytes();
    device uint *out = y + first * 32 + lane;
    for (uint run = 0; run < RUNS; run++) {
        if ((first + run) * 32 + lane < args.count) out[run * 32] = Kind::bits(block + run * Kind::bytes(), lane);
    }
}

template [[host_name("dequantize_f32")]] kernel void dequantize<F32>(device const uchar *, device uint *, constant Args &, uint,
                                                                      uint, uint, uint);
template [[host_name("dequantize_f16")]] kernel void dequantize<F16>(device const uchar *, device uint *, constant Args &, uint,
                                                                      uint, uint, uint);
template [[host_name("dequantize_bf16")]] kernel void dequantize<BF16>(device const uchar *, device uint *, constant Args &, uint,
                                                                      uint, uint, uint);
template [[host_name("dequantize_q8_0")]] kernel void dequantize<Q8_0>(device const uchar *, device uint *, constant Args &, uint,
                                                                      uint, uint, uint);
template [[host_name("dequantize_q4_0")]] kernel void dequantize<Q4_0>(device const uchar *, device uint *, constant Args &, uint,
                                                                      uint, uint, uint);
template [[host_name("dequantize_q4_1")]] kernel void dequantize<Q4_1>(device const uchar *, device uint *, constant Args &, uint,
                                                                      uint, uint, uint);
