// All go round together, for ever.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: float 64 empty
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
kernel void settle(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                   uint i [[thread_position_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[i] = x[i];
    bool more = true;
    while (more) {  // HERE
        threadgroup_barrier(mem_flags::mem_threadgroup);
        more = tile[0] < 1;
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[i] = tile[i];
}
