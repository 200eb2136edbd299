// Threads leave as soon as no barrier is left; another way has none at all.
// run: grid 100, threadgroup 64
// buffer 0: float 100 ramp
// buffer 1: float 100 empty
// buffer 2: uint 2 80 0
#include <metal_stdlib>
using namespace metal;
kernel void turn(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant uint *args [[buffer(2)]],
                 uint i [[thread_position_in_grid]], uint l [[thread_position_in_threadgroup]],
                 uint wide [[threads_per_threadgroup]]) {
    threadgroup float tile[64];
    if (args[1] == 1) {
        if (i >= args[0]) return;
        out[i] = x[i];
        return;
    }
    tile[l] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (i >= args[0]) return;
    out[i] = tile[wide - 1 - l];
}
