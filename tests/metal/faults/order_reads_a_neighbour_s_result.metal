// A running sum over threadgroups, as if those before had ended.
// checks: order
// run: grid 128, threadgroup 32
// buffer 0: float 128 ramp
// buffer 1: float 5 zeros
// finds order: of buffer(1) 'sums'
#include <metal_stdlib>
using namespace metal;
kernel void running(device const float *x [[buffer(0)]], device float *sums [[buffer(1)]],
                    uint i [[thread_position_in_grid]], uint group [[threadgroup_position_in_grid]],
                    uint lane [[thread_index_in_simdgroup]]) {
    const float own = simd_sum(x[i]);
    if (lane == 0) sums[group + 1] = sums[group] + own;  // HERE
}
