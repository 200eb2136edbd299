// A vector has no component 4.
// run: grid 4, threadgroup 4
// buffer 0: float 20 ramp
// buffer 1: float 4 empty
// finds bounds: index 4 of an array of 4: v[k]
#include <metal_stdlib>
using namespace metal;
kernel void sums(device const float4 *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    const float4 v = x[i];
    float sum = 0;
    for (uint k = 0; k <= 4; k++) sum += v[k];  // HERE
    out[i] = sum;
}
