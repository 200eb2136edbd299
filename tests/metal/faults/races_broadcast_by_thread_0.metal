// Thread 0 works something out for all; nobody waits for it.
// run: grid 128, threadgroup 64
// buffer 0: float 128 ramp
// buffer 1: float 128 empty
// finds races: reads byte 0 of threadgroup variable 'scale', which thread 0 wrote in line 14, no barrier between
#include <metal_stdlib>
using namespace metal;
kernel void normalise(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                      uint l [[thread_position_in_threadgroup]]) {
    threadgroup float scale;
    if (l == 0) {
        float most = 0;
        for (uint k = 0; k < 64; k++) most = max(most, x[i + k]);
        scale = 1 / most;
    }
    out[i] = x[i] * scale;  // HERE
}
