// The last threadgroup has 8 threads, but reads a tile of 32.
// run: grid 40, threadgroup 32
// buffer 0: float 40 ramp
// buffer 1: float 40 empty
// finds unwritten: reads byte 32 of threadgroup variable 'tile', which nobody has written (in this threadgroup)
#include <metal_stdlib>
using namespace metal;
kernel void mean(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                 uint l [[thread_position_in_threadgroup]]) {
    threadgroup float tile[32];
    tile[l] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float sum = 0;
    for (uint k = 0; k < 32; k++) sum += tile[k];  // HERE
    out[i] = sum / 32;
}
