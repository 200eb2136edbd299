// x, y and z are stored, the whole vector is read.
// run: grid 8, threadgroup 8
// buffer 0: float 32 ramp
// buffer 1: float 32 empty
// buffer 2: float 8 empty
// finds unwritten: reads byte 12 of buffer(1) 'out', which nobody has written
#include <metal_stdlib>
using namespace metal;
kernel void lengths(device const float4 *x [[buffer(0)]], device float4 *out [[buffer(1)]], device float *w [[buffer(2)]],
                    uint i [[thread_position_in_grid]]) {
    out[i].xyz = x[i].xyz * 2;
    w[i] = dot(out[i], out[i]);  // HERE
}
