// The mean of an empty row.
// checks: fast-math
// run: grid 32, threadgroup 32
// buffer 0: float 32 zeros
// buffer 1: float 32 zeros
// finds fast-math: NaN out of finite numbers, which fast math does not allow: x[i] / count
#include <metal_stdlib>
using namespace metal;
kernel void mean(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    const float count = simd_sum(x[i]);
    out[i] = x[i] / count;  // HERE
}
