// Two columns of three are set.
// run: grid 2, threadgroup 2
// buffer 0: float 2 ramp
// buffer 1: float 2 empty
// finds unwritten: which this thread has not written
#include <metal_stdlib>
using namespace metal;
kernel void turn(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    float rows[3][3];
    for (uint r = 0; r < 2; r++) {
        for (uint c = 0; c < 3; c++) rows[r][c] = x[i] * r + c;
    }
    float trace = 0;
    for (uint r = 0; r < 3; r++) trace += rows[r][r];  // HERE
    out[i] = trace;
}
