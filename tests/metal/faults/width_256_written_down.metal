// The stride is 256, whatever the threadgroup has.
// checks: width
// run: threads 1024
// buffer 0: float 1024 ramp
// buffer 1: float 1024 zeros
// finds width: of buffer(1) 'out', written here last, is another with threadgroups of 32 threads
#include <metal_stdlib>
using namespace metal;
kernel void turn(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint group [[threadgroup_position_in_grid]],
                 uint l [[thread_position_in_threadgroup]], uint width [[threads_per_threadgroup]]) {
    const uint i = group * width + l;
    if (i < 1024) out[i] = x[i] * float(width) / 256.0f;  // HERE
}
