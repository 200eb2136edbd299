// A counter in threadgroup memory holds whatever was there before.
// run: grid 64, threadgroup 64
// buffer 0: int 64 -1 1 0
// buffer 1: uint 1 empty
// finds unwritten: byte 0 of threadgroup variable 'count', which nobody has written
#include <metal_stdlib>
using namespace metal;
kernel void count_positive(device const int *x [[buffer(0)]], device uint *out [[buffer(1)]],
                           uint i [[thread_position_in_threadgroup]]) {
    threadgroup atomic_uint count;
    if (x[i] > 0) atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);  // HERE
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (i == 0) out[0] = atomic_load_explicit(&count, memory_order_relaxed);  // HERE
}
