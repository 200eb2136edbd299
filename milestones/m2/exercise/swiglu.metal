// SwiGLU: y[i] = gate[i] * sigmoid(gate[i]) * up[i], sigmoid(g) = 1 / (1 + exp(-g))
//
//   buffer 0  gate  float [n]   read
//   buffer 1  up    float [n]   read
//   buffer 2  y     float [n]   to be written, every element; may be gate or up
//   buffer 3  args  Args        read
//
// Dispatched with n threads: one an element. The dispatch is rounded up to whole threadgroups, so threads with i >= n run too:
// they must read and write nothing. Called once a block, between the two halves of the feed-forward part.
//
// gate may be any finite float, as far as ±1e30. A float32 exp passes its largest number beyond exp(88.7), and under Metal's
// fast math infinity may turn into anything: exp must never be asked for so much. (Below about exp(-104) it is plainly 0.)
//
//   pytest -x milestones/m2/test_swiglu.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint n;
};

kernel void swiglu(device const float *gate [[buffer(0)]],
                   device const float *up [[buffer(1)]],
                   device float *y [[buffer(2)]],
                   constant Args &args [[buffer(3)]],
                   uint i [[thread_position_in_grid]]) {
    // Your task: write element i of y, if there is one, with an exp that cannot overflow whatever gate[i] is.
}
