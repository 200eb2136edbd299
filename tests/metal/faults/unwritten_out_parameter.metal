// A helper sets what it is given by reference, but not always.
// run: grid 8, threadgroup 8
// buffer 0: float 8 -1 1
// buffer 1: float 8 empty
// finds unwritten: reads r, which this thread has not written
#include <metal_stdlib>
using namespace metal;
inline bool root(float x, thread float &result) {
    if (x < 0) return false;
    result = sqrt(x);
    return true;
}
kernel void roots(device const float *x [[buffer(0)]], device float *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    float r;
    root(x[i], r);
    out[i] = r;  // HERE
}
