// An unsigned number is always at least 0.
// run: grid 4, threadgroup 4
// buffer 0: uint 4 ramp
// buffer 1: uint 4 empty
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
kernel void last_digit(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    uint sum = 0;
    for (uint k = 3; k >= 0; k--) sum = sum * 3 + x[k % 4];  // HERE
    out[i] = sum;
}
