// The last threadgroup is whole: 128 threads run where 100 elements are.
// run: grid 128, threadgroup 64
// buffer 0: float 100 ramp
// buffer 1: float 128 empty
// finds bounds: reads 4 bytes outside buffer(0) 'x', at byte 400: it ends at byte 400
#include <metal_stdlib>
using namespace metal;
kernel void twice(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = 2 * x[i];  // HERE
}
