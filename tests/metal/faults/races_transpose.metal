// A tile is turned over in threadgroup memory; the write and the read have nothing between them.
// run: grid 32 32, threadgroup 16 16, memory 16
// buffer 0: float 1024 ramp
// buffer 1: float 1024 empty
// finds races: of threadgroup variable 'tile'
#include <metal_stdlib>
using namespace metal;
kernel void transpose(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint2 at [[thread_position_in_grid]],
                      uint2 l [[thread_position_in_threadgroup]], uint2 g [[threadgroup_position_in_grid]],
                      threadgroup float *unused [[threadgroup(0)]]) {
    threadgroup float tile[16][17];
    tile[l.y][l.x] = x[at.y * 32 + at.x];                            // HERE
    out[(g.x * 16 + l.y) * 32 + g.y * 16 + l.x] = tile[l.x][l.y];  // HERE
}
