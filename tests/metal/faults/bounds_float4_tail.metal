// Four at a time, of 102 elements: the last vector is half outside.
// run: grid 26, threadgroup 26
// buffer 0: float 102 ramp
// buffer 1: float 104 empty
// finds bounds: reads 16 bytes outside buffer(0) 'x', at byte 400: it ends at byte 408
#include <metal_stdlib>
using namespace metal;
kernel void twice(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    device const float4 *x4 = (device const float4 *)x;
    device float4 *out4 = reinterpret_cast<device float4 *>(out);
    out4[i] = 2 * x4[i];  // HERE
}
