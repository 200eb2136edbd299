// The barrier is in a function that half of the threads call.
// run: grid 64, threadgroup 64, memory 256
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds divergence: reaches the threadgroup_barrier that hangs on i < n / 2
#include <metal_stdlib>
using namespace metal;
template <uint N> float turned(threadgroup float *tile, uint i, float v) {
    tile[i] = v;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return tile[N - 1 - i];
}
kernel void turn(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                 threadgroup float *tile [[threadgroup(0)]], uint i [[thread_position_in_threadgroup]],
                 uint n [[threads_per_threadgroup]]) {
    if (i < n / 2) {  // HERE
        out[i] = turned<32>(tile, i, x[i]);
    } else {
        out[i] = x[i];
    }
}
