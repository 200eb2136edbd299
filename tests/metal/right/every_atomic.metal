// Whatever atomics there are, from all threads on the same words.
// run: grid 128, threadgroup 32
// buffer 0: int 128 ramp
// buffer 1: int 8 empty
// buffer 2: uint 8 zeros
#include <metal_stdlib>
using namespace metal;
kernel void all(device const int *x [[buffer(0)]], device atomic_int *a [[buffer(1)]], device atomic_uint *b [[buffer(2)]],
                uint i [[thread_position_in_grid]], uint l [[thread_position_in_threadgroup]]) {
    threadgroup atomic_int most;
    if (l == 0) atomic_store_explicit(&most, -1, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    atomic_fetch_max_explicit(&most, x[i], memory_order_relaxed);
    atomic_fetch_add_explicit(a, x[i], memory_order_relaxed);
    atomic_fetch_sub_explicit(a + 1, x[i], memory_order_relaxed);
    atomic_fetch_min_explicit(a + 2, x[i], memory_order_relaxed);
    atomic_fetch_or_explicit(b, 1u << (i % 32), memory_order_relaxed);
    atomic_fetch_and_explicit(&b[1], ~(1u << (i % 32)), memory_order_relaxed);
    atomic_fetch_xor_explicit(&b[2], i, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (l == 0) atomic_fetch_max_explicit(&a[3], atomic_load_explicit(&most, memory_order_relaxed), memory_order_relaxed);
}
