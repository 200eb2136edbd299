// The remainder by a length that is 0.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 ramp
// buffer 1: uint 64 empty
// buffer 2: uint 1 zeros
// finds time: an integer is divided by 0, which may never end here: x[i] % n
#include <metal_stdlib>
using namespace metal;
kernel void wrap(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], constant uint &n [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
    out[i] = x[i] % n;  // HERE
}
