// The tile's own elements are waited for, its halo is loaded after the barrier.
// run: grid 128, threadgroup 64
// buffer 0: half 130 ramp
// buffer 1: half 128 empty
// finds races: byte 130 of threadgroup variable 'tile'
#include <metal_stdlib>
using namespace metal;
kernel void blur(device const half *x [[buffer(0)]], device half *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                 ushort l [[thread_position_in_threadgroup]]) {
    threadgroup half tile[66];
    tile[l + 1] = x[i + 1];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (l == 0) tile[0] = x[i];
    if (l == 1) tile[65] = x[i - 1 + 65];                  // HERE
    out[i] = (tile[l] + tile[l + 1] + tile[l + 2]) / 3.0h;  // HERE
}
