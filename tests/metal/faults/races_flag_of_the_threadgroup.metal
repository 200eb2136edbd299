// A loop goes on while anyone has work; the flag is put down again while others still look at it.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 zeros
// buffer 1: uint 64 empty
// finds races: writes byte 0 of threadgroup variable 'busy', which thread
#include <metal_stdlib>
using namespace metal;
kernel void settle(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]],
                   uint i [[thread_position_in_threadgroup]]) {
    threadgroup atomic_uint busy;
    uint left = x[i] + 3, rounds = 0;
    for (;;) {
        if (i == 0) atomic_store_explicit(&busy, 0, memory_order_relaxed);  // HERE
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (left > 0) atomic_fetch_or_explicit(&busy, 1, memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        const threadgroup uint *word = (const threadgroup uint *)&busy;
        if (*word == 0) break;  // HERE
        left -= left > 0;
        rounds++;
    }
    out[i] = rounds;
}
