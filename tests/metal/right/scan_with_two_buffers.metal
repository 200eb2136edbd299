// Hillis and Steele's scan, from one array into the other; the pointers change places.
// run: grid 128, threadgroup 128, memory 512 512
// buffer 0: uint 128 ramp
// buffer 1: uint 128 empty
#include <metal_stdlib>
using namespace metal;
kernel void scan(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], threadgroup uint *a [[threadgroup(0)]],
                 threadgroup uint *b [[threadgroup(1)]], uint i [[thread_position_in_threadgroup]],
                 uint n [[threads_per_threadgroup]]) {
    threadgroup uint *from = a, *to = b;
    from[i] = x[i];
    for (uint step = 1; step < n; step <<= 1) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        to[i] = from[i] + (i >= step ? from[i - step] : 0);
        threadgroup uint *t = from;
        from = to;
        to = t;
    }
    out[i] = from[i];
}
