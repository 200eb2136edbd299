// A tile with one place of halo too few.
// run: grid 64, threadgroup 64
// buffer 0: float 66 ramp
// buffer 1: float 64 empty
// finds bounds: writes 4 bytes outside threadgroup variable 'tile', at byte 260: it ends at byte 260
// finds bounds: index 65 of an array of 65: tile[l + 2]
#include <metal_stdlib>
using namespace metal;
constant constexpr uint width = 64;
kernel void blur(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                 uint l [[thread_position_in_threadgroup]]) {
    threadgroup float tile[width + 1];
    tile[l] = x[l];
    if (l < 2) {
        threadgroup float *halo = tile + width;
        halo[l] = x[width + l];  // HERE
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[l] = tile[l] + tile[l + 1] + tile[l + 2];  // HERE
}
