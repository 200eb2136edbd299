// A thread that is done leaves the loop; the others wait for it.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds divergence: reaches the threadgroup_barrier that hangs on left < 0.5f
#include <metal_stdlib>
using namespace metal;
kernel void halve(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    float left = x[i];
    for (;;) {
        if (left < 0.5f) break;  // HERE
        tile[i] = left;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        left = tile[i] / 2;
    }
    out[i] = left;
}
