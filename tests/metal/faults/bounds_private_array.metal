// The best four of five: the shift goes one place too far.
// run: grid 2, threadgroup 2
// buffer 0: float 16 ramp
// buffer 1: float 8 empty
// finds bounds: index 4 of an array of 4: best[k + 1]
#include <metal_stdlib>
using namespace metal;
kernel void best_four(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint row [[thread_position_in_grid]]) {
    float best[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    for (int j = 0; j < 8; j++) {
        const float v = x[row * 8 + j];
        int k = 3;
        for (; k >= 0 && v > best[k]; k--) best[k + 1] = best[k];  // HERE
        if (k < 3) best[k + 1] = v;
    }
    for (int k = 0; k < 4; k++) out[row * 4 + k] = best[k];
}
