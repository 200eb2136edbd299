// mem_none waits for the threads, not for what they wrote.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds races: reads byte 252 of buffer(1) 'out', which thread 63 wrote
#include <metal_stdlib>
using namespace metal;
kernel void add_last(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                     uint i [[thread_position_in_threadgroup]]) {
    out[i] = x[i];
    threadgroup_barrier(mem_flags::mem_none);
    const float last = out[63];  // HERE
    threadgroup_barrier(mem_flags::mem_none);
    if (i < 63) out[i] = x[i] + last;
}
