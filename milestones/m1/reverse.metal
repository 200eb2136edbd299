// Each row back to front: y[r, i] = x[r, n - 1 - i]
//
//   buffer 0  x     uint [rows, n]   read; n is at most 1024
//   buffer 1  y     uint [rows, n]   written, every element; may be x
//   buffer 2  args  Args             read
//
// One threadgroup a row, striding over rows, its threads striding over the columns. Dispatch rows * 32 threads: one
// threadgroup a row where it is 32 threads wide, up to 32 rows for each where it is wider. The row is held in threadgroup
// memory, for y may be x: nothing is written before all of the row is read. The fourth lesson (what a barrier orders).
//
//   pytest milestones/m1/test_reverse.py
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
    threadgroup uint line[1024];
    for (uint row = group; row < args.rows; row += groups) {
        device const uint *in = x + ulong(row) * args.n;
        device uint *out = y + ulong(row) * args.n;

        for (uint i = t; i < args.n; i += width) line[i] = in[i];
        threadgroup_barrier(mem_flags::mem_threadgroup);  // the row is read: it may be written over
        for (uint i = t; i < args.n; i += width) out[i] = line[args.n - 1 - i];
        threadgroup_barrier(mem_flags::mem_threadgroup);  // line is read: the next row may write over it
    }
}
