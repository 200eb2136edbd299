// Only one of the two fields has a value.
// run: grid 4, threadgroup 4
// buffer 0: float 16 ramp
// buffer 1: float 4 empty
// buffer 2: uint 4 empty
// finds unwritten: reads best.at, which this thread has not written
#include <metal_stdlib>
using namespace metal;
struct Best {
    float value;
    uint at;
};
kernel void largest(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], device uint *at [[buffer(2)]],
                    uint i [[thread_position_in_grid]]) {
    Best best;
    best.value = 100;
    for (uint k = 0; k < 4; k++) {
        const float v = x[4 * i + k];
        if (v > best.value) {
            best.value = v;
            best.at = k;
        }
    }
    out[i] = best.value;
    at[i] = best.at;  // HERE
}
