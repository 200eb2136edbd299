// A scratch row in device memory, passed on within a threadgroup by barriers for device memory.
// run: grid 128, threadgroup 64
// buffer 0: float 128 ramp
// buffer 1: float 128 empty
#include <metal_stdlib>
using namespace metal;
kernel void turn(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                 uint l [[thread_position_in_threadgroup]], uint g [[threadgroup_position_in_grid]]) {
    device float *mine = out + g * 64;
    mine[l] = x[i] * 2;
    threadgroup_barrier(mem_flags::mem_device);
    const float other = mine[63 - l];
    threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
    mine[l] += other;
}
