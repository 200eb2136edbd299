// Rows that are empty are passed over, with the barrier.
// run: grid 32 2, threadgroup 32 2
// buffer 0: uint 64 0 1 2
// buffer 1: uint 64 empty
// finds divergence: reaches the threadgroup_barrier that hangs on x[i] == row
#include <metal_stdlib>
using namespace metal;
kernel void rows(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]],
                 uint i [[thread_index_in_threadgroup]]) {
    threadgroup uint tile[64];
    uint sum = 0, row = 0;
    do {
        if (x[i] == row) continue;  // HERE
        tile[i] = row;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        sum += tile[i];
    } while (++row < 3);
    out[i] = sum;
}
