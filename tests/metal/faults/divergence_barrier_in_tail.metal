// The guard of the tail stands around the barrier too: threads beyond the end never come to it, and what they would have read and
// written does not matter any more.
// run: threads 40
// buffer 0: float 40 ramp
// buffer 1: float 40 empty
// finds divergence: not every thread of the threadgroup reaches the threadgroup_barrier that hangs on i < 40
#include <metal_stdlib>
using namespace metal;
[[max_total_threads_per_threadgroup(64)]]
kernel void pairs(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    threadgroup float tile[40];
    if (i < 40) {  // HERE
        tile[i] = x[i];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        out[i] = tile[i] + tile[39 - i];
    }
}
