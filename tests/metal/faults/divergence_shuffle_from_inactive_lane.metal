// Lane 31 is asked for its value where only the lower half is.
// run: grid 32, threadgroup 32
// buffer 0: float 32 ramp
// buffer 1: float 32 zeros
// finds divergence: reads lane 31, which is not active here
#include <metal_stdlib>
using namespace metal;
kernel void last(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    if (i < 16) {
        out[i] = simd_broadcast(x[i], 31);  // HERE
    }
}
