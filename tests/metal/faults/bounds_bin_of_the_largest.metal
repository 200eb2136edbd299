// The largest value falls into a bin behind the last.
// run: grid 64, threadgroup 64
// buffer 0: float 64 0 0.3 0.6 1
// buffer 1: uint 8 zeros
// finds bounds: writes 4 bytes outside buffer(1) 'bins', at byte 32: it ends at byte 32
#include <metal_stdlib>
using namespace metal;
kernel void histogram(device const float *x [[buffer(0)]], device atomic_uint *bins [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {
    const uint bin = uint(x[i] * 8);
    atomic_fetch_add_explicit(&bins[bin], 1, memory_order_relaxed);  // HERE
}
