// Row 65,537 of a matrix of 65,536 columns begins at an element whose number 32 bits do not hold.
// checks: all
// run: grid 1, threadgroup 1
// buffer 0: float 65537 ramp
// buffer 1: float 1 zeros
// buffer 2: uint 2 65537 65536
// finds limits: row * columns is 4,295,032,832, more than its 32 bits hold: 65,536 is used
#include <metal_stdlib>
using namespace metal;
kernel void pick(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant uint *shape [[buffer(2)]]) {
    const uint row = shape[0], columns = shape[1];
    out[0] = x[row * columns];  // HERE
}
