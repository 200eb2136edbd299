// Copy: y[i] = x[i], the same bits
//
//   buffer 0  x     uint [n]   read
//   buffer 1  y     uint [n]   to be written, every element, and nothing past the last one
//   buffer 2  args  Args       read: n, the number of elements
//
// Dispatched with n threads, which are rounded up to whole threadgroups: there are threads with i >= n, and they must
// neither read nor write. How wide a threadgroup is (32 threads, or any multiple of that up to 1024) is for the device to
// choose, so nothing may depend on it.
//
// Two numbers tell a thread which one it is: `i` counts all threads of the dispatch from 0 on, `t` begins again at 0 in every
// threadgroup.
//
// The first lesson: threads and their tail. Nobody calls it but its spec; m2's add and swiglu are built the same way.
//
//   pytest -x milestones/m1/test_copy.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint n;
};

kernel void copy(device const uint *x [[buffer(0)]],
                 device uint *y [[buffer(1)]],
                 constant Args &args [[buffer(2)]],
                 uint i [[thread_position_in_grid]],
                 uint t [[thread_position_in_threadgroup]]) {
    // Your task: copy the one element that is this thread's, if there is one.
}
