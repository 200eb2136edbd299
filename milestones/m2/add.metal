// The residual add: y[i] = a[i] + b[i]
//
//   buffer 0  a     float [n]   read
//   buffer 1  b     float [n]   read
//   buffer 2  y     float [n]   written, every element; may be a or b
//   buffer 3  args  Args        read
//
// One thread an element; dispatch n threads. Called twice a block: after attention and after the feed-forward part.
// Adding in place is safe: a thread reads its own two elements before it writes its own one, and nobody else's.
//
//   pytest milestones/m2/test_add.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint n;
};

kernel void add(device const float *a [[buffer(0)]],
                device const float *b [[buffer(1)]],
                device float *y [[buffer(2)]],
                constant Args &args [[buffer(3)]],
                uint i [[thread_position_in_grid]]) {
    if (i >= args.n) return;  // the rounded-up tail
    y[i] = a[i] + b[i];
}
