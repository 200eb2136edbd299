// Declared without a value, set on every way before it is read.
// run: grid 32, threadgroup 32
// buffer 0: float 128 ramp
// buffer 1: float 128 empty
#include <metal_stdlib>
using namespace metal;
struct Best {
    float value;
    uint at;
};
inline void split(float v, thread float &whole, thread float *rest) {
    whole = floor(v);
    *rest = v - whole;
}
kernel void sort(device const float4 *x [[buffer(0)]], device float4 *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    float a, b, top[4], part[2][2];
    Best best;
    float4 v;
    float3 w;
    uint k, last;
    half2 h;
    split(x[i].y, a, &b);
    v.x = a;
    v.yz = float2(b, a + b);
    v.w = 0;
    w = v.xyz;
    w.z += 1;
    h.x = half(b);
    h.y = 1;
    for (k = 0; k < 4; k++) top[k] = v[k];
    if (i % 2) best = {top[1], 1};
    else best.value = top[0], best.at = 0;
    for (uint r = 0; r < 2; ++r) {
        for (uint c = 0; c < 2; ++c) part[r][c] = top[2 * r + c];
    }
    do {
        last = k--;
    } while (last > 2);
    out[i] = float4(best.value, best.at + last, part[1][0] + dot(w, w), h.x + h.y + v.w);
}
