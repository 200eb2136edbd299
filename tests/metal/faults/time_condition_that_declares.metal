// The condition declares what it looks at, and that never becomes 0.
// run: grid 32, threadgroup 32
// buffer 0: uint 1 7
// buffer 1: uint 32 zeros
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
kernel void drain(device const uint *left [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    while (const uint n = left[0])  // HERE
        out[i] += n;
}
