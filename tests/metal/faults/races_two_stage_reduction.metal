// Each SIMD-group leaves its sum for the first one, which does not wait for them.
// run: grid 256, threadgroup 256
// buffer 0: float 256 ramp
// buffer 1: float 1 empty
// finds races: byte 4 of threadgroup variable 'sums', which thread
#include <metal_stdlib>
using namespace metal;
kernel void total(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                  uint group [[simdgroup_index_in_threadgroup]], uint groups [[simdgroups_per_threadgroup]]) {
    threadgroup float sums[32];
    const float sum = simd_sum(x[i]);
    if (lane == 0) sums[group] = sum;  // HERE
    if (group == 0) {
        const float all = simd_sum(lane < groups ? sums[lane] : 0.0f);  // HERE
        if (lane == 0) out[0] = all;
    }
}
