// One SIMD-group fills what the other reads; a simdgroup_barrier holds only its own together.
// run: grid 64, threadgroup 64
// buffer 0: float 32 ramp
// buffer 1: float 32 empty
// finds races: reads byte 0 of threadgroup variable 'box', which thread 0 wrote
#include <metal_stdlib>
using namespace metal;
kernel void pass_on(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                    uint lane [[thread_index_in_simdgroup]], uint group [[simdgroup_index_in_threadgroup]]) {
    threadgroup float box[32];
    if (group == 0) box[lane] = x[lane] * 2;
    simdgroup_barrier(mem_flags::mem_threadgroup);
    if (group == 1) out[lane] = box[lane];  // HERE
}
