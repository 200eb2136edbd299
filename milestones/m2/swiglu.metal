// SwiGLU: y[i] = gate[i] * sigmoid(gate[i]) * up[i], sigmoid(g) = 1 / (1 + exp(-g))
//
//   buffer 0  gate  float [n]   read
//   buffer 1  up    float [n]   read
//   buffer 2  y     float [n]   written, every element; may be gate or up
//   buffer 3  args  Args        read
//
// One thread an element; dispatch n threads. Called once a block, between the two halves of the feed-forward part.
// Working in place is safe: a thread reads its own two elements before it writes its own one, and nobody else's.
//
//   pytest milestones/m2/test_swiglu.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint n;
};

// exp is only ever asked for a number from -128 to 0, so nothing overflows, which fast math would not survive: exp(-g) of a
// very negative g would be infinite, and infinity may be anything there. Below about -104, exp is 0 in float32 anyway.
static float sigmoid(float g) {
    const float e = exp(-min(fabs(g), 128.0f));
    return (g < 0.0f ? e : 1.0f) / (1.0f + e);
}

kernel void swiglu(device const float *gate [[buffer(0)]],
                   device const float *up [[buffer(1)]],
                   device float *y [[buffer(2)]],
                   constant Args &args [[buffer(3)]],
                   uint i [[thread_position_in_grid]]) {
    if (i >= args.n) return;  // the rounded-up tail
    const float g = gate[i];
    y[i] = g * sigmoid(g) * up[i];
}
