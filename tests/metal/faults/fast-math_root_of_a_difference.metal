// A variance as a difference of two large numbers may come out negative.
// checks: fast-math
// run: grid 32, threadgroup 32
// buffer 0: float 32 -1
// buffer 1: float 32 zeros
// finds fast-math: NaN out of finite numbers, which fast math does not allow: sqrt(x[i])
#include <metal_stdlib>
using namespace metal;
kernel void deviation(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = sqrt(x[i]);  // HERE
}
