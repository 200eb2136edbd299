// Two kinds of work, one with a barrier.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 0 1
// buffer 1: uint 64 empty
// finds divergence: reaches the threadgroup_barrier that hangs on kind[i]
#include <metal_stdlib>
using namespace metal;
kernel void work(device const uint *kind [[buffer(0)]], device uint *out [[buffer(1)]],
                 uint i [[thread_position_in_threadgroup]]) {
    threadgroup uint tile[64];
    switch (kind[i]) {  // HERE
        case 0:
            tile[i] = i;
            threadgroup_barrier(mem_flags::mem_threadgroup);
            out[i] = tile[i];
            break;
        default:
            out[i] = 0;
    }
}
