// Every lane reads an active one, in branches too.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 ramp
// buffer 1: uint 64 empty
#include <metal_stdlib>
using namespace metal;
kernel void total(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint lane [[thread_index_in_simdgroup]]) {
    uint sum = x[i];
    for (ushort step = 1; step < 32; step <<= 1) sum += simd_shuffle_xor(sum, step);
    if (lane < 16) {
        sum += simd_shuffle_xor(x[i], ushort(8)) + simd_broadcast(sum, ushort(3)) + quad_shuffle(sum, ushort(lane % 4 ^ 1));
    } else {
        sum += simd_broadcast_first(sum) + simd_prefix_exclusive_sum(x[i]) + simd_shuffle(sum, ushort(16 + (lane + 1) % 16));
    }
    out[i] = sum + uint(popcount(uint(ulong(simd_ballot(x[i] > 20)))));
}
