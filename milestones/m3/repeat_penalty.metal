// Repetition penalty: y[i] = x[i] if token i has not been seen; else x[i] / penalty if x[i] > 0, and x[i] * penalty otherwise
//
//   buffer 0  x     float [n]   read, finite
//   buffer 1  seen  uchar [n]   read: 0 if token i has not been seen, however often it has otherwise
//   buffer 2  y     float [n]   written, every element; may be x
//   buffer 3  args  Args        read
//
// One thread an element; dispatch n threads. Called once a step where a penalty is set, before the temperature. Working in place
// is safe: a thread reads its own element before it writes it, and nobody else's.
//
//   pytest milestones/m3/test_repeat_penalty.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint n;
    float penalty;
};

kernel void repeat_penalty(device const float *x [[buffer(0)]],
                           device const uchar *seen [[buffer(1)]],
                           device float *y [[buffer(2)]],
                           constant Args &args [[buffer(3)]],
                           uint i [[thread_position_in_grid]]) {
    if (i >= args.n) return;  // the rounded-up tail
    const float logit = x[i];
    const float changed = logit > 0.0f ? logit / args.penalty : logit * args.penalty;
    y[i] = seen[i] != 0 ? changed : logit;
}
