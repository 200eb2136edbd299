// The residual add: y[i] = a[i] + b[i]
//
//   buffer 0  a     float [n]   read
//   buffer 1  b     float [n]   read
//   buffer 2  y     float [n]   to be written, every element; may be a or b
//   buffer 3  args  Args        read
//
// Dispatched with n threads: one an element. The dispatch is rounded up to whole threadgroups, so threads with i >= n run too:
// they must read and write nothing. Called twice a block: after attention and after the feed-forward part.
// y may be a or b itself: no element may be written before it has been read by whoever needs it.
//
//   pytest -x milestones/m2/test_add.py
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
    // Your task: write element i of y, if there is one.
}
