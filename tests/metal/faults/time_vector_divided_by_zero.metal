// One component of the divisor is 0.
// run: grid 64, threadgroup 64
// buffer 0: int 64 ramp
// buffer 1: int 256 empty
// finds time: an integer is divided by 0, which may never end here: sizes /= int4(
#include <metal_stdlib>
using namespace metal;
kernel void wrap(device const int *x [[buffer(0)]], device int4 *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    int4 sizes = int4(x[i]);
    sizes /= int4(1, 2, 3, x[0]);  // HERE
    out[i] = sizes;
}
