// The last steps stay within a SIMD-group: its own barrier is enough.
// run: grid 128, threadgroup 128
// buffer 0: float 128 ramp
// buffer 1: float 1 empty
#include <metal_stdlib>
using namespace metal;
kernel void total(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]]) {
    threadgroup float part[128];
    part[i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (i < 64) part[i] += part[i + 64];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (i < 32) {
        part[i] += part[i + 32];
        simdgroup_barrier(mem_flags::mem_threadgroup);
        for (uint s = 16; s > 0; s >>= 1) {
            if (i < s) part[i] += part[i + s];
            simdgroup_barrier(mem_flags::mem_threadgroup);
        }
        if (i == 0) out[0] = part[0];
    }
}
