// The product overflows where the index is made, not where it is used.
// checks: limits
// run: grid 32, threadgroup 32
// buffer 0: float 64 ramp
// buffer 1: float 32 zeros
// buffer 2: uint 1 2147483649
// finds limits: more than its 32 bits hold
#include <metal_stdlib>
using namespace metal;
kernel void pick(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant uint &stride [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
    uint at = i * stride;  // HERE
    out[i] = x[at];
}
