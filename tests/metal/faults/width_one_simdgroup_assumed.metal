// simd_sum adds up 32 threads; a threadgroup of more needs a second step.
// checks: width
// run: threads 1024
// buffer 0: float 1024 ramp
// buffer 1: float 1024 zeros
// finds width: of buffer(1) 'out'
#include <metal_stdlib>
using namespace metal;
kernel void mean(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                 uint width [[threads_per_threadgroup]]) {
    if (i < 1024) out[i] = simd_sum(x[i]) / float(width);  // HERE
}
