// Dequantization: the bytes of a tensor to float, one kernel a kind: dequantize_f32, _f16, _bf16, _q8_0, _q4_0, _q4_1
//
//   buffer 0  raw   uchar [bytes]   read, as the file holds it: run behind run of 32 values, Kind::bytes() bytes each
//   buffer 1  y     uint [count]    to be written, every element, and nothing past the last one: the bits of floats
//   buffer 2  args  Args            read
//
// All six are this one template. Kind::bits(block, lane), in blocks.h, gives the bits of value `lane` (0 to 31) of the run that
// begins at `block`: whole numbers, which fast math does not touch.
//
// Dispatched with ceil(count / 512) * 32 threads: one SIMD-group (32 lanes) for 16 runs, which are 512 values. Value i lies
// in run i / 32, and is value i % 32 there. The dispatch is rounded up to whole threadgroups, of 1 SIMD-group or as many as
// 32, so there are SIMD-groups without any run. count may be any number from 1 on for F32, F16 and BF16, so that the last
// run is cut short; it is a multiple of 32 for the others. Nothing past the last value may be read or written. A tensor may
// have more than 2^32 bytes.
//
// Called once a tensor, when a model is loaded.
//
//   pytest -x milestones/m1/test_dequantize.py
#include <metal_stdlib>
using namespace metal;

#include "blocks.h"

constexpr constant uint RUNS = 16;  // of 32 values, for one SIMD-group

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
    // Your task: write the values of this SIMD-group's runs; then, in blocks.h, each kind's bits.
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
