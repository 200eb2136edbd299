// One thread writes for all, a barrier, and another before it writes again.
// run: grid 128, threadgroup 64
// buffer 0: float 128 ramp
// buffer 1: float 128 empty
#include <metal_stdlib>
using namespace metal;
kernel void normalise(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                      uint l [[thread_position_in_threadgroup]], uint g [[threadgroup_position_in_grid]]) {
    threadgroup float value;
    float sum = 0;
    for (uint round = 0; round < 3; round++) {
        if (l == round) {
            value = 0;
            for (uint k = 0; k < 64; k++) value = max(value, x[g * 64 + k]);
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        sum += value;
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[i] = x[i] + sum;
}
