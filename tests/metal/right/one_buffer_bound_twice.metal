// Read through two parameters, and written through neither.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: same 0 at 0
// buffer 2: float 64 empty
#include <metal_stdlib>
using namespace metal;
kernel void product(device const float *x [[buffer(0)]], constant float4 *y [[buffer(1)]], device float *out [[buffer(2)]],
                    uint i [[thread_position_in_grid]]) {
    out[i] = x[i] * y[i / 4][i % 4] + dot(y[0], y[15]);
}
