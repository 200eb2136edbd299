// A barrier of the whole grid: threadgroups that have not begun are waited for.
// run: grid 2048, threadgroup 32
// buffer 0: uint 1 zeros
// buffer 1: uint 2048 empty
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
kernel void all(device atomic_uint *here [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                uint lane [[thread_index_in_simdgroup]], uint n [[threadgroups_per_grid]]) {
    if (lane == 0) atomic_fetch_add_explicit(here, 1, memory_order_relaxed);
    uint seen = 0;
    do {  // HERE
        seen = atomic_load_explicit(here, memory_order_relaxed);
    } while (seen < n);  // HERE
    out[i] = seen;
}
