// A sum that is never set to zero.
// run: grid 8, threadgroup 8
// buffer 0: float 64 ramp
// buffer 1: float 8 empty
// finds unwritten: reads sum, which this thread has not written
#include <metal_stdlib>
using namespace metal;
kernel void rows(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    float sum;
    for (uint k = 0; k < 8; k++) sum += x[8 * i + k];  // HERE
    out[i] = sum;
}
