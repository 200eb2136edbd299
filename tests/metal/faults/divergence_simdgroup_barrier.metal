// Odd lanes do not come to the SIMD-group's barrier.
// run: grid 32, threadgroup 32
// buffer 0: uint 32 ramp
// buffer 1: uint 32 zeros
// finds divergence: not every thread of the SIMD-group reaches simdgroup_barrier(mem_flags::mem_threadgroup) (active lanes 0x55555555)
#include <metal_stdlib>
using namespace metal;
kernel void pairs(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], uint lane [[thread_index_in_simdgroup]]) {
    threadgroup uint tile[32];
    if (lane % 2 == 0) {
        tile[lane] = x[lane];
        simdgroup_barrier(mem_flags::mem_threadgroup);  // HERE
        out[lane] = tile[lane];
    }
}
