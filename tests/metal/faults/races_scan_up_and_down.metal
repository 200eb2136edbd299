// Blelloch's scan, without the barrier in the way down.
// run: grid 64, threadgroup 64
// buffer 0: uint 128 ramp
// buffer 1: uint 128 empty
// finds races: of threadgroup variable 's'
#include <metal_stdlib>
using namespace metal;
kernel void scan(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]],
                 uint i [[thread_position_in_threadgroup]]) {
    threadgroup uint s[128];
    s[2 * i] = x[2 * i];
    s[2 * i + 1] = x[2 * i + 1];
    uint offset = 1;
    for (uint d = 64; d > 0; d >>= 1) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (i < d) s[offset * (2 * i + 2) - 1] += s[offset * (2 * i + 1) - 1];
        offset *= 2;
    }
    if (i == 0) s[127] = 0;
    for (uint d = 1; d < 128; d *= 2) {
        offset >>= 1;
        if (i < d) {
            const uint a = offset * (2 * i + 1) - 1, b = offset * (2 * i + 2) - 1;
            const uint t = s[a];  // HERE
            s[a] = s[b];          // HERE
            s[b] += t;            // HERE
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[2 * i] = s[2 * i];
    out[2 * i + 1] = s[2 * i + 1];
}
