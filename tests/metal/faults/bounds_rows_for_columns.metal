// Height where the width belongs.
// run: grid 5 7, threadgroup 4 4
// buffer 0: float 35 ramp
// buffer 1: float 35 empty
// finds bounds: reads 4 bytes outside buffer(0) 'x'
#include <metal_stdlib>
using namespace metal;
struct Size {
    uint width, height;
};
inline uint place(uint2 at, Size size) { return at.y * size.height + at.x; }
kernel void copy(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint2 at [[thread_position_in_grid]],
                 uint2 n [[threads_per_grid]]) {
    const Size size = {n.x, n.y};
    out[at.y * n.x + at.x] = x[place(at, size)];  // HERE
}
