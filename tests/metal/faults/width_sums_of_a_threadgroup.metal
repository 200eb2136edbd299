// One sum a threadgroup: how many there are, and of what, nobody on metalcompute's call can say.
// checks: width
// run: threads 1024
// buffer 0: float 1024 ramp
// buffer 1: float 32 zeros
// finds width: of buffer(1) 'sums'
#include <metal_stdlib>
using namespace metal;
kernel void sum(device const float *x [[buffer(0)]], device float *sums [[buffer(1)]], uint group [[threadgroup_position_in_grid]],
                uint l [[thread_position_in_threadgroup]], uint width [[threads_per_threadgroup]]) {
    threadgroup float part[1024];
    part[l] = x[group * width + l < 1024 ? group * width + l : 0];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (l == 0) {
        float total = 0;
        for (uint k = 0; k < width; k++) total += part[k];
        sums[group] = total;  // HERE
    }
}
