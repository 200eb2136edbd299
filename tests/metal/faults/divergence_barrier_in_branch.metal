// Half of the threads never come to the barrier.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds divergence: not every thread of the threadgroup reaches the threadgroup_barrier that hangs on i < 32
#include <metal_stdlib>
using namespace metal;
kernel void turn(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[i] = x[i];
    if (i < 32) {  // HERE
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[i] = x[i];
}
