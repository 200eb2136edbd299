// A signed product, added to a pointer.
// checks: limits
// run: grid 32, threadgroup 32
// buffer 0: float 64 ramp
// buffer 1: float 32 zeros
// buffer 2: int 2 65536 65536
// finds limits: rows * columns is 4,294,967,296, more than its 32 bits hold: 0 is used
#include <metal_stdlib>
using namespace metal;
kernel void pick(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant int *shape [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
    const int rows = shape[0], columns = shape[1];
    device const float *last = x + rows * columns;  // HERE
    out[i] = last[0];
}
