// The last thread's right neighbour is not there.
// run: grid 100, threadgroup 32
// buffer 0: half 100 ramp
// buffer 1: half 100 empty
// finds bounds: reads 2 bytes outside buffer(0) 'x', at byte 200: it ends at byte 200
#include <metal_stdlib>
using namespace metal;
kernel void mean(device const half *x [[buffer(0)]], device half *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    device const half *here = x + i;
    half sum = 0;
    for (int k = 0; k < 2; ++k, ++here) sum += *here;  // HERE
    out[i] = sum / 2;
}
