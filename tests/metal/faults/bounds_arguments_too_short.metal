// The host gives fewer arguments than the kernel's struct has.
// run: grid 4, threadgroup 4
// buffer 0: float 4 ramp
// buffer 1: float 4 empty
// buffer 2: uint 2 4 1
// finds bounds: outside buffer(2) 'args'
#include <metal_stdlib>
using namespace metal;
struct Args {
    uint n, rows;
    float scale;
};
kernel void scaled(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                   constant Args *args [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    if (i < args->n) out[i] = x[i] * args->scale;  // HERE
}
