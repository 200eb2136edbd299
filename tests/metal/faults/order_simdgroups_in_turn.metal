// SIMD-group 1 finds what SIMD-group 0 wrote only if that one ran first.
// checks: order
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 zeros
// finds order: of buffer(1) 'out'
#include <metal_stdlib>
using namespace metal;
kernel void hand_on(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                    uint i [[thread_position_in_threadgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]]) {
    out[i] = simdgroup == 0 ? x[i] : out[i - 32] + x[i];  // HERE
}
