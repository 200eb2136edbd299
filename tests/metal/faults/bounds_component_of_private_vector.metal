// Components of vectors in a thread's own array are written one by one; only the last index is wrong.
// run: grid 4, threadgroup 4
// buffer 0: float 4 empty
// finds bounds: index 2 of an array of 2
#include <metal_stdlib>
using namespace metal;
struct Pair { float2 a; float b; };
kernel void sums(device float *out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    float4 v[2];
    Pair p[2];
    for (uint n = 0; n < 2; n++) {
        v[n] = 0.0f;
        v[n][1] += 1.0f;
        v[n].z = v[n][1] + i;
        v[n].xw += v[n].yz;
        p[n].a.x = 1.0f;
        p[n].b = v[n].x;
        p[n].a.y = p[n].b;
    }
    out[i] = v[0][1] + v[1].w + p[0].a.y + p[i < 3 ? 1 : 2].b;  // HERE
}
