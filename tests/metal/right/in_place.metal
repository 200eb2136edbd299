// Every thread changes its own elements, in place and in turn.
// run: grid 256, threadgroup 64
// buffer 0: float 256 ramp
#include <metal_stdlib>
using namespace metal;
kernel void twice(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    device float &here = x[i];
    here *= 2;
    here = here + 1;
    x[i] = sqrt(here);
}
