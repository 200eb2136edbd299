// Repetition penalty: y[i] = x[i] if token i has not been seen; else x[i] / penalty if x[i] > 0, and x[i] * penalty otherwise
//
//   buffer 0  x     float [n]   read, finite
//   buffer 1  seen  uchar [n]   read: 0 if token i has not been seen; any other number if it has, once or often
//   buffer 2  y     float [n]   written, every element; may be x
//   buffer 3  args  Args        read
//
// Dispatched with n threads, one an element. The device makes whole threadgroups of them, so up to 1023 threads with i >= n run
// too: they must touch no buffer. A threadgroup's width is any multiple of 32 up to 1024.
// Where y is x, an element must be read before it is written. A logit of an unseen token is copied bit for bit; 0 stays 0.
// Called once a step where a penalty is set (sampler.py), before the temperature.
//
//   pytest -x milestones/m3/test_repeat_penalty.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint n;
    float penalty;  // finite, above 0
};

kernel void repeat_penalty(device const float *x [[buffer(0)]],
                           device const uchar *seen [[buffer(1)]],
                           device float *y [[buffer(2)]],
                           constant Args &args [[buffer(3)]],
                           uint i [[thread_position_in_grid]]) {
    // Your task: write y[i], for this thread's i, if there is such an element.
}
