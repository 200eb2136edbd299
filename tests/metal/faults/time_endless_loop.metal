// Nothing in the loop changes what it waits for.
// run: grid 32, threadgroup 32
// buffer 0: uint 1 7
// buffer 1: uint 32 empty
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
kernel void wait(device const uint *flag [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    uint n = 0;
    while (flag[0] != 0) {  // HERE
        n += 1;
    }
    out[i] = n;
}
