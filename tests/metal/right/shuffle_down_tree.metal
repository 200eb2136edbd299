// The upper lanes get rubbish, which nobody uses; the last SIMD-group is not whole.
// run: grid 100, threadgroup 100
// buffer 0: float 100 ramp
// buffer 1: float 4 empty
#include <metal_stdlib>
using namespace metal;
kernel void total(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint lane [[thread_index_in_simdgroup]], uint group [[simdgroup_index_in_threadgroup]],
                  uint n [[threads_per_simdgroup]]) {
    float sum = i < 96 ? x[i] : 0.0f;
    for (ushort step = 16; step > 0; step >>= 1) {
        const float other = simd_shuffle_down(sum, step);
        if (lane + step < n && i + step < 96) sum += other;
    }
    if (lane == 0) out[group] = sum;
}
