// What is written in one step is read in the next: one barrier a step is enough.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
#include <metal_stdlib>
using namespace metal;
kernel void diffuse(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                    uint i [[thread_position_in_threadgroup]]) {
    threadgroup float state[2][64];
    state[0][i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint step = 0; step < 5; step++) {
        threadgroup const float *now = state[step % 2];
        state[1 - step % 2][i] = (now[(i + 63) % 64] + now[(i + 1) % 64]) / 2;
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[i] = state[1][i];
}
