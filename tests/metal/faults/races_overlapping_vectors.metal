// Every thread stores four elements but goes on by two.
// run: grid 32, threadgroup 32
// buffer 0: float 68 ramp
// buffer 1: float 68 empty
// finds races: writes byte 8 of buffer(1) 'out', which thread
#include <metal_stdlib>
using namespace metal;
kernel void copy(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    device const packed_float4 *from = (device const packed_float4 *)(x + 2 * i);
    *(device packed_float4 *)(out + 2 * i) = *from;  // HERE
}
