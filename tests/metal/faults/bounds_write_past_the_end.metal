// Pairs of results, room for one each.
// run: grid 32, threadgroup 32
// buffer 0: float 32 ramp
// buffer 1: half 32 empty
// finds bounds: writes 4 bytes outside buffer(1) 'out', at byte 64: it ends at byte 64
#include <metal_stdlib>
using namespace metal;
kernel void split(device const float *x [[buffer(0)]], device half2 *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    const half whole = half(floor(x[i]));
    out[i] = half2(whole, half(x[i]) - whole);  // HERE
}
