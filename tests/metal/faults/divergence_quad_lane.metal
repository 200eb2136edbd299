// A quad has lanes 0 to 3.
// run: grid 32, threadgroup 32
// buffer 0: half 32 ramp
// buffer 1: half 32 empty
// finds divergence: reads lane 4, which is not active here
#include <metal_stdlib>
using namespace metal;
kernel void next(device const half *x [[buffer(0)]], device half *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                 ushort lane [[thread_index_in_quadgroup]]) {
    out[i] = quad_shuffle(x[i], lane + 1);  // HERE
}
