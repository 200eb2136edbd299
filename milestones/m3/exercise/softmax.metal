// Softmax with a temperature: y[r, i] = exp(z_i) / sum_j exp(z_j),   z_i = (x[r, i] - max_j x[r, j]) / T
//
//   buffer 0  x     float [rows, n]   read, finite
//   buffer 1  y     float [rows, n]   written, every element; may be x
//   buffer 2  args  Args              read
//
// Dispatched with rows * 1024 threads, so that there is at least one threadgroup a row; the narrower they are, the more there are:
// `groups` of them, rows * 1024 / width. Each row is to be done by one whole threadgroup, its threads sharing the columns;
// threadgroups that have no row must write nothing. A width is any multiple of 32 up to 1024, so a threadgroup has 1 to 32
// SIMD-groups, all of them whole. n is any number from 1 on, also smaller than the width.
//
// x is any finite float: a logit of 3e38 or a row that is all -1e4 must give probabilities. T may be as small as 2^-100: z must
// not become infinite, which fast math does not survive; where z < -128, exp(z) is 0 in float32 anyway. Where y is x, all of a
// row must have been read for its sum before any of it is written. Each row must sum to 1 within rounding.
//
// Threadgroup memory is shared by a threadgroup's threads, and has a value for a reader only after a barrier behind the writer.
// All threads of the threadgroup must come to each barrier.
// Called once a step, for the row of logits from which a token is drawn (sampler.py).
//
//   pytest -x milestones/m3/test_softmax.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
    float inverse_temperature;  // 1 / T
};

kernel void softmax(device const float *x [[buffer(0)]],
                    device float *y [[buffer(1)]],
                    constant Args &args [[buffer(2)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint t [[thread_position_in_threadgroup]],
                    uint width [[threads_per_threadgroup]],
                    uint simdgroups [[simdgroups_per_threadgroup]],
                    uint simdgroup [[simdgroup_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float partial[32];  // room for one number a SIMD-group
    // Your task: for each row of this threadgroup, find its largest logit, the sum of its weights, and write its probabilities.
}
