// The helper with the barrier is only called where the left side is true.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 0 1
// buffer 1: uint 64 empty
// finds divergence: reaches the threadgroup_barrier that hangs on x[i] > 0
#include <metal_stdlib>
using namespace metal;
inline bool any_left(threadgroup uint *left, uint i) {
    left[i] = i;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return left[63 - i] > 3;
}
kernel void work(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]],
                 uint i [[thread_position_in_threadgroup]]) {
    threadgroup uint left[64];
    const bool go_on = x[i] > 0 && any_left(left, i);  // HERE
    out[i] = go_on ? 1 : 0;
}
