// i - 1 of the first thread is 4294967295.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds bounds: reads 4 bytes outside buffer(0) 'x', at byte 17,179,869,180: it ends at byte 256
#include <metal_stdlib>
using namespace metal;
kernel void difference(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = x[i] - x[i - 1];  // HERE
}
