// Hillis and Steele's scan in one array: a thread adds to its element while its neighbour reads it.
// run: grid 128, threadgroup 128
// buffer 0: uint 128 ramp
// buffer 1: uint 128 empty
// finds races: of threadgroup variable 's'
#include <metal_stdlib>
using namespace metal;
kernel void scan(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]],
                 uint i [[thread_position_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
    threadgroup uint s[128];
    s[i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint step = 1; step < n; step <<= 1) {
        if (i >= step) s[i] += s[i - step];  // HERE
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[i] = s[i];
}
