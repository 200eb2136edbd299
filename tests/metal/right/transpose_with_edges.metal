// Tiles at the edges are smaller; a column of padding that nobody touches.
// run: grid 20 27, threadgroup 8 8
// buffer 0: half 540 ramp
// buffer 1: half 540 empty
#include <metal_stdlib>
using namespace metal;
kernel void transpose(device const half *x [[buffer(0)]], device half *out [[buffer(1)]], uint2 at [[thread_position_in_grid]],
                      uint2 l [[thread_position_in_threadgroup]], uint2 n [[threads_per_grid]]) {
    threadgroup half tile[8][9];
    tile[l.x][l.y] = x[at.y * n.x + at.x];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[at.x * n.y + at.y] = tile[l.x][l.y];
}
