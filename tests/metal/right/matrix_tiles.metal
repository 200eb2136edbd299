// simdgroup_matrix with strides, an origin and a transposition, from and to both memories.
// run: grid 64, threadgroup 64
// buffer 0: float 384 ramp
// buffer 1: float 384 empty
#include <metal_stdlib>
using namespace metal;
kernel void square(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                   uint group [[simdgroup_index_in_threadgroup]]) {
    threadgroup float tile[2][64];
    simdgroup_float8x8 a, b, c = simdgroup_float8x8(0);
    simdgroup_load(a, x, 24, ulong2(8 * group, 0));
    simdgroup_load(b, x + 8 * 24, 24, ulong2(16, 0), true);
    simdgroup_multiply_accumulate(c, a, b, c);
    simdgroup_store(c, tile[group], 8);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_load(a, tile[1 - group], 8, ulong2(0, 0), true);
    simdgroup_multiply(b, a, c);
    simdgroup_store(b, out + 8 * group, 24);
}
