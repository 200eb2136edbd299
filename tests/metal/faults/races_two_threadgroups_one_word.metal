// Every threadgroup writes its total into the same word.
// run: grid 128, threadgroup 32
// buffer 0: float 128 ramp
// buffer 1: float 1 empty
// finds races: writes byte 0 of buffer(1) 'out', which thread 0 of threadgroup
#include <metal_stdlib>
using namespace metal;
kernel void total(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint lane [[thread_index_in_simdgroup]]) {
    const float sum = simd_sum(x[i]);
    if (lane == 0) out[0] = sum;  // HERE
}
