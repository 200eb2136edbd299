// The k-loop of a tiled matrix multiplication, with one barrier of its two.
// run: grid 16 16, threadgroup 8 8, memory 256 256
// buffer 0: float 256 ramp
// buffer 1: float 256 ramp
// buffer 2: float 256 empty
// finds races: of threadgroup variable 'a'
// finds races: of threadgroup variable 'b'
#include <metal_stdlib>
using namespace metal;
kernel void matmul(device const float *x [[buffer(0)]], device const float *y [[buffer(1)]], device float *out [[buffer(2)]],
                   uint2 at [[thread_position_in_grid]], uint2 l [[thread_position_in_threadgroup]],
                   threadgroup float *a [[threadgroup(0)]], threadgroup float *b [[threadgroup(1)]]) {
    float sum = 0;
    for (uint k = 0; k < 16; k += 8) {
        a[l.y * 8 + l.x] = x[at.y * 16 + k + l.x];    // HERE
        b[l.y * 8 + l.x] = y[(k + l.y) * 16 + at.x];  // HERE
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint n = 0; n < 8; n++) sum = fma(a[l.y * 8 + n], b[n * 8 + l.x], sum);
    }
    out[at.y * 16 + at.x] = sum;
}
