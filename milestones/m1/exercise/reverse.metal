// Each row back to front: y[r, i] = x[r, n - 1 - i]
//
//   buffer 0  x     uint [rows, n]   read; n is at most 1024
//   buffer 1  y     uint [rows, n]   to be written, every element; may be x
//   buffer 2  args  Args             read
//
// A row belongs to a whole threadgroup. Dispatched with rows * 32 threads: that is one threadgroup a row where a
// threadgroup is 32 threads wide, and fewer threadgroups than rows where it is wider. So threadgroup `group` of `groups`
// takes the rows group, group + groups, group + 2 * groups and so on. n may be less than the `width` threads of a
// threadgroup, or more.
//
// y may be x itself: then what one thread writes is what another one reads. No element may be written over before it was read,
// whichever SIMD-group is faster. A threadgroup_barrier(mem_flags::mem_threadgroup) lets no thread go on before all of the
// threadgroup's threads have come to it, and orders what they did to threadgroup memory before and after. All must come to it,
// equally often.
//
// The fourth lesson: what a barrier orders. Nobody calls it but its spec.
//
//   pytest -x milestones/m1/test_reverse.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
};

kernel void reverse(device const uint *x [[buffer(0)]],
                    device uint *y [[buffer(1)]],
                    constant Args &args [[buffer(2)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint t [[thread_position_in_threadgroup]],
                    uint width [[threads_per_threadgroup]]) {
    threadgroup uint line[1024];  // room for one row
    // Your task: write each of this threadgroup's rows back to front.
}
