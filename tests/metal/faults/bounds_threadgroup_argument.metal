// The caller gives memory for 32, the threadgroup has 64 threads.
// run: grid 64, threadgroup 64, memory 128
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds bounds: writes 4 bytes outside threadgroup variable 'shared', at byte 128: it ends at byte 128
// finds bounds: reads 4 bytes outside threadgroup variable 'shared'
#include <metal_stdlib>
using namespace metal;
inline void put(threadgroup float *to, uint at, float v) { to[at] = v; }  // HERE
kernel void turn(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                 threadgroup float *shared [[threadgroup(0)]], uint i [[thread_position_in_threadgroup]]) {
    put(shared, i, x[i]);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = shared[63 - i];  // HERE
}
