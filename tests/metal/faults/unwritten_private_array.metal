// The accumulators are never set to zero.
// run: grid 32, threadgroup 32
// buffer 0: float 64 ramp
// buffer 1: float 32 empty
// finds unwritten: reads sums[k], which this thread has not written
#include <metal_stdlib>
using namespace metal;
kernel void add(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    float sums[2];
    for (uint k = 0; k < 2; k++) sums[k] = sums[k] + x[2 * i + k];  // HERE
    out[i] = sums[0] + sums[1];
}
