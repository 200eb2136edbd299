// Minus infinity as a mask, and a row of it.
// run: grid 128, threadgroup 32
// buffer 0: float 128 ramp
// buffer 1: float 128 empty
// buffer 2: uint 4 32 7 1 20
#include <metal_stdlib>
using namespace metal;
kernel void softmax(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                    device const uint *lengths [[buffer(2)]], uint i [[thread_position_in_grid]],
                    uint lane [[thread_index_in_simdgroup]], uint row [[threadgroup_position_in_grid]]) {
    const float v = lane < lengths[row] ? x[i] : -INFINITY;
    const float most = simd_max(v);
    const float e = exp(v - most);
    out[i] = e / simd_sum(e);
}
