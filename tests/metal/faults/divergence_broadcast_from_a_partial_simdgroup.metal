// The last lane's value, where the last SIMD-group is not whole.
// run: grid 100, threadgroup 100
// buffer 0: uint 100 ramp
// buffer 1: uint 100 empty
// finds divergence: reads lane 31, which is not active here (active lanes 0x0000000f)
#include <metal_stdlib>
using namespace metal;
kernel void last(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    const uint sum = simd_prefix_inclusive_sum(x[i]);
    out[i] = simd_broadcast(sum, 31);  // HERE
}
