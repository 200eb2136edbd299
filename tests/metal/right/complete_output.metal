// All of the output is written, in pieces of several sizes.
// run: grid 32, threadgroup 32
// buffer 0: half 33 ramp
// buffer 1: half 66 zeros
// complete: 1
#include <metal_stdlib>
using namespace metal;
kernel void twice(device const half *x [[buffer(0)]], device half *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    ((device half2 *)out)[i] = x[i];
    if (i == 0) out[64] = out[65] = x[32];
}
