// Argmax over finite values: out[r] = the column of row r's largest logit, ties to the lower column
//
//   buffer 0  logits  uint [rows, n]   read: the bits of floats
//   buffer 1  out     uint [rows]      written, every element; NOTHING for a row without a finite value
//   buffer 2  args    Args             read
//
// NaN and infinities (an exponent of all ones) never win. -0 and +0 are one value, hence a tie; subnormals count. Fast math may
// take floats for what they are not, so work on the bits. Those of positive floats sort like unsigned integers; those of
// negative ones sort the other way round, and above all positive ones, because the sign is the highest bit.
//
// Dispatched with rows * 32 threads: one SIMD-group a row, as in nonfinite.metal. SIMD-groups past the last row come up too: they
// must touch no buffer. n is any number from 1 on. A threadgroup's width is any multiple of 32 up to 1024.
// Called once a step to pick the next token at temperature 0 (sampler.py).
//
//   pytest -x milestones/m3/test_argmax.py
#include <metal_stdlib>
using namespace metal;

constant uint NOTHING = 0xFFFFFFFFu;

struct Args {
    uint rows;
    uint n;
};

kernel void argmax(device const uint *logits [[buffer(0)]],
                   device uint *out [[buffer(1)]],
                   constant Args &args [[buffer(2)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]]) {
    // Your task: find the column of the row's largest finite logit, the lowest such column, and let one lane write it.
}
