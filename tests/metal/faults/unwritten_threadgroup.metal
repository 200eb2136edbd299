// Only even places of the tile are filled.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds unwritten: of threadgroup variable 'tile', which nobody has written
#include <metal_stdlib>
using namespace metal;
kernel void turn(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    if (i % 2 == 0) tile[i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[63 - i];  // HERE
}
