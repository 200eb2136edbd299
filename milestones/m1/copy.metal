// Copy: y[i] = x[i], the same bits
//
//   buffer 0  x     uint [n]   read
//   buffer 1  y     uint [n]   written, every element
//   buffer 2  args  Args       read
//
// One thread an element; dispatch n threads, which are rounded up to whole threadgroups. The first lesson (threads and
// their tail); m2's add and swiglu are built the same way.
//
//   pytest milestones/m1/test_copy.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint n;
};

kernel void copy(device const uint *x [[buffer(0)]],
                 device uint *y [[buffer(1)]],
                 constant Args &args [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
    if (i >= args.n) return;  // the rounded-up tail
    y[i] = x[i];
}
