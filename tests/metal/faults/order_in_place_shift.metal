// Each element is replaced by its right neighbour, in place, over threadgroups that run in no order.
// checks: order
// run: grid 128, threadgroup 32
// buffer 0: float 129 ramp
// finds order: of buffer(0) 'x'
#include <metal_stdlib>
using namespace metal;
kernel void shift(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    const float next = x[i + 1];
    x[i] = next;  // HERE
}
