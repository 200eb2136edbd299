// A tile of 8 × 8 at the edge of 12 × 12.
// run: grid 32, threadgroup 32
// buffer 0: float 144 ramp
// buffer 1: float 144 zeros
// finds bounds: outside buffer(0) 'x'
// finds bounds: outside buffer(1) 'out'
#include <metal_stdlib>
using namespace metal;
kernel void copy(device const float *x [[buffer(0)]], device float *out [[buffer(1)]]) {
    simdgroup_float8x8 tile;
    for (uint row = 0; row < 12; row += 8) {
        simdgroup_load(tile, x + row * 12, 12);     // HERE
        simdgroup_store(tile, out + row * 12, 12);  // HERE
    }
}
