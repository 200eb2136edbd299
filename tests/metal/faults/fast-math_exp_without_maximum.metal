// Softmax without its maximum: exp(120) is more than a float holds.
// checks: fast-math
// run: grid 32, threadgroup 32
// buffer 0: float 32 120 1 2
// buffer 1: float 32 zeros
// finds fast-math: infinity out of finite numbers
#include <metal_stdlib>
using namespace metal;
kernel void softmax(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    const float e = exp(x[i]);  // HERE
    out[i] = e / simd_sum(e);  // HERE
}
