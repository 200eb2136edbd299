// SIMD-groups leave their sums, a barrier, the first one adds them up.
// run: grid 200, threadgroup 200
// buffer 0: float 200 ramp
// buffer 1: float 1 empty
#include <metal_stdlib>
using namespace metal;
kernel void total(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                  uint group [[simdgroup_index_in_threadgroup]], uint groups [[simdgroups_per_threadgroup]]) {
    threadgroup float sums[32];
    const float sum = simd_sum(x[i]);
    if (lane == 0) sums[group] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (group != 0) return;
    const float all = simd_sum(lane < groups ? sums[lane] : 0.0f);
    if (lane == 0) out[0] = all;
}
