// Threads count in threadgroup memory without atomics.
// run: threads 256
// buffer 0: uchar 256 ramp
// buffer 1: uint 16 empty
// finds races: byte 0 of threadgroup variable 'bins', which thread
#include <metal_stdlib>
using namespace metal;
[[max_total_threads_per_threadgroup(256)]] kernel void histogram(device const uchar *x [[buffer(0)]],
                                                                 device uint *out [[buffer(1)]],
                                                                 uint i [[thread_position_in_threadgroup]]) {
    threadgroup uint bins[16];
    if (i < 16) bins[i] = 0;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    bins[x[i] % 16]++;  // HERE
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (i < 16) out[i] = bins[i];
}
