// Two buffers that take turns, but the next step is written where this one is read.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds races: of threadgroup variable 'state'
#include <metal_stdlib>
using namespace metal;
kernel void diffuse(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                    uint i [[thread_position_in_threadgroup]]) {
    threadgroup float state[2][64];
    state[0][i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    uint now = 0;
    for (uint step = 0; step < 4; step++) {
        threadgroup float *next = state[now];
        next[i] = (state[now][(i + 63) % 64] + state[now][(i + 1) % 64]) / 2;  // HERE
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[i] = state[now][i];
}
