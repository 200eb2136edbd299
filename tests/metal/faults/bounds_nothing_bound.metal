// A mask that may be absent is tested for by one half of the kernel and forgotten by the other.
// run: grid 8, threadgroup 8
// buffer 0: float 8 ramp
// buffer 1: float 8 empty
// buffer 2: float 8 nothing
// finds bounds: reads 4 bytes, but buffer(2) 'mask' has nothing bound: mask[i]
#include <metal_stdlib>
using namespace metal;
kernel void masked(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant float *mask [[buffer(2)]],
                   uint i [[thread_position_in_grid]]) {
    out[i] = x[i] + (mask ? mask[i] : 1.0f);
    out[i] *= mask[i];  // HERE
}
