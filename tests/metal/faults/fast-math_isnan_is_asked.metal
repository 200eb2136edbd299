// Under fast math the compiler may take isnan for false.
// checks: fast-math
// run: grid 32, threadgroup 32
// buffer 0: uint 32 2143289344
// buffer 1: float 32 zeros
// finds fast-math: under fast math the answer to isnan(x[i]) is undefined: it is asked about NaN
#include <metal_stdlib>
using namespace metal;
kernel void clean(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = isnan(x[i]) ? 0.0f : 1.0f;  // HERE
}
