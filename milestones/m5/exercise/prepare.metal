// x made ready for products with packed weights (packed.h): each block of 32 values with its sum, and each value multiplied
// by the power of two that belongs to its nibble:
//     y[b, j] = x[b, j] * 16^-n(j),   sums[b] = sum_j x[b, j],   n(j) = 2 (j mod 4) + j / 16, but 0 where that is 7
// With args.nibbles = 0, y is x.
//
//   buffer 0  x     float [blocks, 32]   read
//   buffer 1  y     float [blocks, 32]   to be written, every element; may be x
//   buffer 2  sums  float [blocks]       to be written, every element
//   buffer 3  args  Args                 read
//
// One SIMD-group a block; dispatch blocks * 32 threads. m6's kernels leave this one out: each prepares what it makes for the
// next.
//
//   pytest milestones/m5/test_prepare.py
#include <metal_stdlib>
using namespace metal;

#include "packed.h"

struct Args {
    uint blocks;
    uint nibbles;
};

kernel void prepare(device const float *x [[buffer(0)]],
                    device float *y [[buffer(1)]],
                    device float *sums [[buffer(2)]],
                    constant Args &args [[buffer(3)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint simdgroups [[simdgroups_per_threadgroup]],
                    uint simdgroup [[simdgroup_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write this SIMD-group's block of y, and its sum.
}
