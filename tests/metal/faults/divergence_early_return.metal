// The threads past n leave before the barrier.
// run: grid 128, threadgroup 128
// buffer 0: float 100 ramp
// buffer 1: float 128 empty
// buffer 2: uint 1 100
// finds divergence: not every thread of the threadgroup reaches the threadgroup_barrier that hangs on i >= n
#include <metal_stdlib>
using namespace metal;
kernel void turn(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant uint &n [[buffer(2)]],
                 uint i [[thread_position_in_grid]], uint l [[thread_position_in_threadgroup]]) {
    threadgroup float tile[128];
    if (i >= n) return;  // HERE
    tile[l] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[n - 1 - l];
}
