// The threadgroup that counts itself last sums up; the count is no atomic.
// run: grid 128, threadgroup 32
// buffer 0: float 128 ramp
// buffer 1: float 4 empty
// buffer 2: uint 1 zeros
// buffer 3: float 1 zeros
// finds races: byte 0 of buffer(2) 'done'
#include <metal_stdlib>
using namespace metal;
kernel void total(device const float *x [[buffer(0)]], device float *part [[buffer(1)]], device uint *done [[buffer(2)]],
                  device float *out [[buffer(3)]], uint i [[thread_position_in_grid]],
                  uint g [[threadgroup_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
    const float sum = simd_sum(x[i]);
    if (lane == 0) {
        part[g] = sum;
        if (++done[0] == 5) out[0] = part[0];  // HERE
    }
}
