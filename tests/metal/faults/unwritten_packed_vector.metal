// The packed normals were to be worked out before.
// run: grid 8, threadgroup 8
// buffer 0: float 24 empty
// buffer 1: float 8 empty
// finds unwritten: of buffer(0) 'normals', which nobody has written
#include <metal_stdlib>
using namespace metal;
kernel void lit(device packed_float3 *normals [[buffer(0)]], device float *out [[buffer(1)]],
                uint i [[thread_position_in_grid]]) {
    const float3 n = normals[i];  // HERE
    out[i] = max(0.0f, dot(n, float3(0, 0, 1)));
    normals[i] = n;
}
