// A tile that is read before all of it is there.
// run: grid 16 16, threadgroup 16 16
// buffer 0: float 256 ramp
// buffer 1: float 256 empty
// finds races: of threadgroup variable 'tile'
#include <metal_stdlib>
using namespace metal;
template <typename T> void load(device const T *from, threadgroup T *to, uint2 at, uint wide) {
    to[at.y * wide + at.x] = from[at.y * wide + at.x];  // HERE
}
kernel void smooth(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                   uint2 at [[thread_position_in_threadgroup]]) {
    threadgroup float tile[16 * 16];
    load(x, tile, at, 16);
    float sum = 0;
    for (uint k = 0; k < 16; k++) sum += tile[at.y * 16 + k] + tile[k * 16 + at.x];  // HERE
    out[at.y * 16 + at.x] = sum;
}
