// Argsort, descending: order[r, j] = the column of row r's j-th largest logit, ties to the lower column
//
//   buffer 0  logits   uint [rows, n]   read: the bits of floats
//   buffer 1  order    uint [rows, n]   written, every element: a permutation of 0 … n - 1 in each row
//   buffer 2  scratch  uint [rows, n]   yours to write and read; never the same memory as order
//   buffer 3  args     Args             read
//
// -0 and +0 are one value, hence a tie. NaN and infinities come last, in ascending columns among themselves, whatever their sign.
// Fast math may take floats for what they are not, so work on the bits, as in argmax.metal.
//
// Dispatched with rows * 1024 threads, so that there is at least one threadgroup a row; `groups` of them in all. Each row is to be
// done by one whole threadgroup; threadgroups that have no row must write nothing. A width is any multiple of 32 up to 1024, so a
// threadgroup has 1 to 32 whole SIMD-groups. n is any number from 1 on: fewer than the threads, and 150,000 too, so a row does
// not fit into threadgroup memory (32 KiB), and n * n comparisons are too many. What another thread has written to device memory
// may be read only after a threadgroup_barrier(mem_flags::mem_device).
// Called once a step where top-k, top-p or min-p is on (sampler.py).
//
//   pytest -x milestones/m3/test_argsort.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
};

kernel void argsort(device const uint *logits [[buffer(0)]],
                    device uint *order [[buffer(1)]],
                    device uint *scratch [[buffer(2)]],
                    constant Args &args [[buffer(3)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint t [[thread_position_in_threadgroup]],
                    uint width [[threads_per_threadgroup]],
                    uint simdgroups [[simdgroups_per_threadgroup]],
                    uint simdgroup [[simdgroup_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]]) {
    // Your task: sort the columns of each row of this threadgroup. A radix sort, least significant digit first, keeps ties in
    // order by itself: each pass moves every column behind those with a smaller digit and those before it with the same one.
}
