// Places are given out by a counter: every thread writes where no other does.
// run: grid 128, threadgroup 32
// buffer 0: int 128 -1 2 -3
// buffer 1: int 128 empty
// buffer 2: uint 1 zeros
#include <metal_stdlib>
using namespace metal;
kernel void keep(device const int *x [[buffer(0)]], device int *out [[buffer(1)]], device atomic_uint *count [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
    if (x[i] <= 0) return;
    const uint place = atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    out[place] = x[i];
}
