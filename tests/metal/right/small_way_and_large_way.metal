// The small way has threads that leave early, and no barrier.
// run: grid 64, threadgroup 32
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// buffer 2: uint 1 40
#include <metal_stdlib>
using namespace metal;
kernel void scaled(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], constant uint &n [[buffer(2)]],
                   uint i [[thread_position_in_grid]], uint l [[thread_position_in_threadgroup]]) {
    threadgroup float most;
    if (n < 50) {
        if (i >= n) return;
        out[i] = x[i];
        return;
    }
    if (l == 0) most = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = x[i] / most;
}
