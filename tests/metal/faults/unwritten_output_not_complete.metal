// Every second element is left out, where the host asked for all.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 zeros
// complete: 1
// finds unwritten: leaves 128 bytes of buffer(1) 'out' unwritten, the first at byte 4
#include <metal_stdlib>
using namespace metal;
kernel void even(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],  // HERE
                 uint i [[thread_position_in_grid]]) {
    if (i % 2 == 0) out[i] = x[i];
}
