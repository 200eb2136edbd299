// The right neighbour of lane 31 is lane 32.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds divergence: reads lane 32, which is not active here
#include <metal_stdlib>
using namespace metal;
inline float right_neighbour(float v, uint lane) { return simd_shuffle(v, ushort(lane + 1)); }  // HERE
kernel void slope(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint lane [[thread_index_in_simdgroup]]) {
    out[i] = right_neighbour(x[i], lane) - x[i];
}
