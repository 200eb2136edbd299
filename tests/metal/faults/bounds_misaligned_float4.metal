// A row of 33 floats is no whole number of float4.
// run: grid 2, threadgroup 2
// buffer 0: float 68 ramp
// buffer 1: float 2 empty
// buffer 2: uint 1 33
// finds bounds: byte 132 of buffer(0) 'x' is no multiple of 16, the alignment of what is accessed there
#include <metal_stdlib>
using namespace metal;
kernel void first_four(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant uint &n [[buffer(2)]],
                       uint row [[thread_position_in_grid]]) {
    const float4 v = *(device const float4 *)(x + row * n);  // HERE
    out[row] = v.x + v.y + v.z + v.w;
}
