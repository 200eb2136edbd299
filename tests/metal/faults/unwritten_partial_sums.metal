// 32 partial sums are added, two SIMD-groups made two.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 1 empty
// finds unwritten: reads byte 8 of threadgroup variable 'sums', which nobody has written
#include <metal_stdlib>
using namespace metal;
inline float add_up(threadgroup const float *sums, uint lane) { return simd_sum(sums[lane]); }  // HERE
kernel void total(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                  uint group [[simdgroup_index_in_threadgroup]]) {
    threadgroup float sums[32];
    const float sum = simd_sum(x[i]);
    if (lane == 0) sums[group] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (group == 0) {
        const float all = add_up(sums, lane);
        if (lane == 0) out[0] = all;
    }
}
