// Sixteen lanes multiply what needs all thirty-two.
// run: grid 32, threadgroup 32
// buffer 0: float 64 ramp
// buffer 1: float 64 zeros
// finds divergence: not every thread of the SIMD-group reaches simdgroup_multiply(c, a, a)
#include <metal_stdlib>
using namespace metal;
kernel void square(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint lane [[thread_index_in_simdgroup]]) {
    simdgroup_float8x8 a, c;
    simdgroup_load(a, x, 8);
    if (lane < 16) {
        simdgroup_multiply(c, a, a);  // HERE
    }
    simdgroup_store(a, out, 8);
}
