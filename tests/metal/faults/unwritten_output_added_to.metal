// += on an output that holds nothing yet.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds unwritten: reads byte 0 of buffer(1) 'out', which nobody has written
#include <metal_stdlib>
using namespace metal;
kernel void add(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] += x[i];  // HERE
}
