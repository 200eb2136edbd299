// One buffer, read in its first half and written in its second.
// run: grid 32, threadgroup 32
// buffer 0: float 64 ramp
// buffer 1: same 0 at 128
#include <metal_stdlib>
using namespace metal;
kernel void twice(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = x[i] * 2;
}
