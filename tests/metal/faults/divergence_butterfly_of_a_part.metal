// 40 threads: the second SIMD-group has eight lanes, a butterfly over sixteen reads others.
// run: grid 40, threadgroup 40
// buffer 0: float 40 ramp
// buffer 1: float 40 empty
// finds divergence: reads lane 8, which is not active here
#include <metal_stdlib>
using namespace metal;
kernel void total(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    float sum = x[i];
    for (ushort step = 8; step > 0; step /= 2) sum += simd_shuffle_xor(sum, step);  // HERE
    out[i] = sum;
}
