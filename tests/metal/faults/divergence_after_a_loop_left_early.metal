// Threads that return inside a loop never come to the barrier behind it.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 0 5 9
// buffer 1: uint 64 empty
// finds divergence: reaches the threadgroup_barrier that hangs on x[(i + k) % 64] == 9
#include <metal_stdlib>
using namespace metal;
kernel void seek(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
    threadgroup uint tile[64];
    for (uint k = 0; k < 2; k++) {
        if (x[(i + k) % 64] == 9) {  // HERE
            out[i] = k;
            return;
        }
    }
    tile[i] = i;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[i];
}
