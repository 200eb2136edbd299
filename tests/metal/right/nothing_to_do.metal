// Loops of no round, an empty tail, a pointer to the end that is only compared.
// run: grid 40, threadgroup 32
// buffer 0: float 40 ramp
// buffer 1: float 40 empty
// buffer 2: uint 3 0 40 4
#include <metal_stdlib>
using namespace metal;
kernel void sums(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant uint *n [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
    float sum = 0;
    for (uint k = 0; k < n[0]; k++) sum += x[1000 + k];
    device const float *p = x + i, *end = x + n[1];
    while (p != end && p < x + i + n[2]) sum += *p++;
    device const float4 *four = (device const float4 *)x, *last = four + n[1] / 4;
    for (four += i % 16; four < last; four += 16) sum += (*four)[3];
    out[i] = sum;
}
