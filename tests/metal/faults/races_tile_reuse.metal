// The next tile is loaded while others still read this one: the barrier at the loop's end is missing.
// run: grid 64, threadgroup 64
// buffer 0: float 256 ramp
// buffer 1: float 64 empty
// finds races: writes byte 0 of threadgroup variable 'tile', which thread
#include <metal_stdlib>
using namespace metal;
kernel void all_pairs(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                      uint i [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    float sum = 0;
    for (uint first = 0; first < 256; first += 64) {
        tile[i] = x[first + i];  // HERE
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint k = 0; k < 64; k++) sum += tile[k] * x[i];
    }
    out[i] = sum;
}
