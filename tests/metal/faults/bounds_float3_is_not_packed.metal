// The host packs three floats, float3 takes the room of four.
// run: grid 8, threadgroup 8
// buffer 0: float 24 ramp
// buffer 1: float 8 empty
// finds bounds: reads 16 bytes outside buffer(0) 'points'
#include <metal_stdlib>
using namespace metal;
kernel void lengths(device const float3 *points [[buffer(0)]], device float *out [[buffer(1)]],
                    uint i [[thread_position_in_grid]]) {
    out[i] = length(points[i]);  // HERE
}
