// How many elements of each row are NaN or infinite: out[r] = #{i : x[r, i] is not finite}
//
//   buffer 0  x     uint [rows, n]   read: the bits of floats
//   buffer 1  out   uint [rows]      written, every element
//   buffer 2  args  Args             read
//
// The bits of a float, from the top: 1 sign, 8 exponent, 23 fraction. NaN and infinities are those whose exponent is all ones,
// whatever sign and fraction. They come as uint because fast math is on: a compiler may assume that no float is NaN or infinite,
// and make `x != x` false.
//
// Dispatched with rows * 32 threads: one SIMD-group (32 threads, its lanes) a row. A threadgroup holds width / 32 SIMD-groups, so
// SIMD-group s of threadgroup g has row g * simdgroups + s. Threadgroups are whole, so rows past the last come up: those
// SIMD-groups must touch no buffer. n is any number from 1 on, smaller than 32, or no multiple of 32: no column is read twice,
// none is left out. A threadgroup's width is any multiple of 32 up to 1024.
// Called on the logits of every step (sampler.py): sampling from a row with a NaN in it would look like text.
//
//   pytest -x milestones/m3/test_nonfinite.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
};

kernel void nonfinite(device const uint *x [[buffer(0)]],
                      device uint *out [[buffer(1)]],
                      constant Args &args [[buffer(2)]],
                      uint group [[threadgroup_position_in_grid]],
                      uint simdgroups [[simdgroups_per_threadgroup]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]]) {
    // Your task: count the row's elements that are not finite, all 32 lanes together, and let one lane write the count.
}
