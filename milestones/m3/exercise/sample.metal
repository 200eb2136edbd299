// Top-k, top-p, min-p and a seeded draw, from one row of probabilities:
//     top-k   keep the first k of `order`
//     top-p   of these, keep the shortest beginning whose sum reaches (>=) top_p times the sum of them all
//     min-p   of these, keep the tokens with probability >= min_p * the largest one
//     draw    walk the kept tokens in ascending id, adding up; take the first at which the sum exceeds (>) u * total, or the last
//             kept one if rounding lets none:  u = (word 0 of philox(counter = step + i, key = seed) >> 8) / 2^24
//
//   buffer 0  p        float [n]       read: probabilities, >= 0, the largest > 0
//   buffer 1  order    uint [n]        read if args.filtered: columns by falling probability (argsort)
//   buffer 2  weights  float [n]       written, every element: p of a kept token, 0 of a cut one; not renormalised
//   buffer 3  ids      uint [draws]    written, every element: draw i uses step + i
//   buffer 4  counts   uint [3]        written: how many tokens are left after top-k, top-p, min-p; the last: weights above 0
//   buffer 5  args     Args            read
//
// Kernel and reference agree bit for bit. So every sum is in float32, from the first to the last in the order said (top-p: that of
// `order`; total and draw: ascending id), one rounding an addition; top_p * sum, min_p * largest and u * total are float32
// products. Fast math may reorder a plain `sum + p`: write fma(p, args.one, sum), with a 1.0 that the compiler cannot see.
// A token of probability 0 adds nothing, so no sum exceeds anything at it: it is never drawn. A probability below the smallest
// normal float (bits below 0x00800000) counts as 0 when it becomes a weight, because fast math may flush it.
//
// The counter's words are (low, high, 0, 0) of the 64-bit step + i: mind the carry. The key is (seed_low, seed_high).
// Dispatched with 1 thread, which makes one threadgroup of any width that is a multiple of 32, up to 1024: all of its threads run.
// What one thread has written others may read only behind a threadgroup_barrier (mem_device for buffers, mem_threadgroup for
// threadgroup memory) that all of them come to. Called once a step where T > 0 (sampler.py).
//
//   pytest -x milestones/m3/test_sample.py
#include <metal_stdlib>
using namespace metal;

#include "philox.h"

struct Args {
    uint n;
    uint filtered;  // 0: keep everything, do not look at `order`
    uint top_k;     // 1 … n
    float top_p;    // >= 1: keep all
    float min_p;    // 0: keep all
    uint seed_low;
    uint seed_high;
    uint step_low;
    uint step_high;
    uint draws;
    float one;  // 1.0
};

kernel void sample(device const float *p [[buffer(0)]],
                   device const uint *order [[buffer(1)]],
                   device float *weights [[buffer(2)]],
                   device uint *ids [[buffer(3)]],
                   device uint *counts [[buffer(4)]],
                   constant Args &args [[buffer(5)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint t [[thread_position_in_threadgroup]],
                   uint width [[threads_per_threadgroup]]) {
    // Your task: write weights, counts and ids. Let one thread do all of it first; share the work out when that is right.
}
