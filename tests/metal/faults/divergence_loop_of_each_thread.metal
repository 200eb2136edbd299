// Every thread goes round as often as its row is long.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 1 2 3
// buffer 1: float 64 empty
// finds divergence: not every thread of the threadgroup reaches the threadgroup_barrier that hangs on k < rows[i]
#include <metal_stdlib>
using namespace metal;
kernel void walk(device const uint *rows [[buffer(0)]], device float *out [[buffer(1)]],
                 uint i [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    float sum = 0;
    for (uint k = 0; k < rows[i]; k++) {  // HERE
        tile[i] = k;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        sum += tile[i];
    }
    out[i] = sum;
}
