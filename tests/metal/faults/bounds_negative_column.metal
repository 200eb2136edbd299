// The stencil's left column is at -1.
// run: grid 4 4 2, threadgroup 4 4 1
// buffer 0: int 32 ramp
// buffer 1: int 32 empty
// finds bounds: at byte -4: 4 before it begins
#include <metal_stdlib>
using namespace metal;
kernel void slope(device const int *x [[buffer(0)]], device int *out [[buffer(1)]], uint3 at [[thread_position_in_grid]]) {
    const int place = int((at.z * 4 + at.y) * 4 + at.x);
    device const int *here = &x[place];
    out[place] = here[0] - here[-1];  // HERE
}
