// One thread of the threadgroup keeps a device word; threadgroups keep to their own.
// run: grid 4 6 2, threadgroup 2 3 1
// buffer 0: int 48 ramp
// buffer 1: int 8 zeros
#include <metal_stdlib>
using namespace metal;
kernel void sums(device const int *x [[buffer(0)]], device int *out [[buffer(1)]], uint3 at [[thread_position_in_grid]],
                 uint3 n [[threads_per_grid]], uint3 g [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
                 uint l [[thread_index_in_threadgroup]]) {
    const uint mine = (g.z * groups.y + g.y) * groups.x + g.x;
    threadgroup int part[6];
    part[l] = x[(at.z * n.y + at.y) * n.x + at.x];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (l != 0) return;
    for (uint k = 0; k < 6; k++) out[mine] += part[k];
    device int *word = out + mine;
    *word -= 1;
    word[0]++;
}
