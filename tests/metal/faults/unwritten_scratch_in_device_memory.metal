// Of every four threads two fill the scratch buffer, all read their own place.
// run: grid 32, threadgroup 32
// buffer 0: half 32 ramp
// buffer 1: half 32 empty
// buffer 2: half 32 empty
// finds unwritten: reads byte 4 of buffer(1) 'scratch', which nobody has written (neither host nor device)
#include <metal_stdlib>
using namespace metal;
kernel void stage(device const half *x [[buffer(0)]], device half *scratch [[buffer(1)]], device half *out [[buffer(2)]],
                  ushort i [[thread_position_in_grid]]) {
    if (!(i & 2)) scratch[i] = x[i] * 2;
    out[i] = scratch[i];  // HERE
}
