// Atomics on threadgroup memory, then on a buffer that begins as zeros nobody wrote.
// run: grid 300, threadgroup 100
// buffer 0: uchar 300 ramp
// buffer 1: uint 16 empty
#include <metal_stdlib>
using namespace metal;
kernel void histogram(device const uchar *x [[buffer(0)]], device atomic_uint *out [[buffer(1)]],
                      uint i [[thread_position_in_grid]], uint l [[thread_position_in_threadgroup]],
                      uint n [[threads_per_threadgroup]]) {
    threadgroup atomic_uint bins[16];
    for (uint k = l; k < 16; k += n) atomic_store_explicit(&bins[k], 0, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    atomic_fetch_add_explicit(&bins[x[i] % 16], 1, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = l; k < 16; k += n) {
        atomic_fetch_add_explicit(&out[k], atomic_load_explicit(&bins[k], memory_order_relaxed), memory_order_relaxed);
    }
}
