// A tree reduction whose steps are not kept apart.
// run: grid 128, threadgroup 128
// buffer 0: float 128 ramp
// buffer 1: float 1 empty
// finds races: of threadgroup variable 'part'
#include <metal_stdlib>
using namespace metal;
kernel void total(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]]) {
    threadgroup float part[128];
    part[i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint s = 64; s > 0; s /= 2) {
        if (i < s) part[i] += part[i + s];  // HERE
    }
    if (i == 0) out[0] = part[0];
}
