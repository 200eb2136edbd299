// Guards on both sides, joined by && and by ?:.
// run: grid 100, threadgroup 32
// buffer 0: float 100 ramp
// buffer 1: float 100 empty
#include <metal_stdlib>
using namespace metal;
kernel void blur(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                 uint l [[thread_position_in_threadgroup]], uint n [[threads_per_grid]], uint wide [[threads_per_threadgroup]]) {
    threadgroup float tile[34];
    tile[l + 1] = x[i];
    if (l == 0) tile[0] = i > 0 ? x[i - 1] : 0;
    if (l == wide - 1) tile[l + 2] = i + 1 < n ? x[i + 1] : 0;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float sum = tile[l] + tile[l + 1] + tile[l + 2];
    if (i + 2 < n && x[i + 2] > 0) sum += 1;
    if (i < 2 || x[i - 2] < 3) sum += 2;
    out[i] = sum;
}
