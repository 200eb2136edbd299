// Top-k, top-p, min-p and a seeded draw, from one row of probabilities:
//     top-k   keep the first k of `order`
//     top-p   of these, keep the shortest beginning whose sum reaches top_p times the sum of them all
//     min-p   of these, keep the tokens with probability >= min_p * the largest one
//     draw    walk the kept tokens in ascending id, adding up; take the first at which the sum exceeds u * total, or the last
//             kept one if rounding lets none:  u = (word 0 of philox(counter = step + i, key = seed) >> 8) / 2^24
//
//   buffer 0  p        float [n]       read: probabilities, >= 0, the largest > 0
//   buffer 1  order    uint [n]        read if args.filtered: columns by falling probability (argsort)
//   buffer 2  weights  float [n]       written, every element: p of a kept token, 0 of a cut one
//   buffer 3  ids      uint [draws]    written, every element: draw i uses step + i
//   buffer 4  counts   uint [3]        written: how many tokens are left after top-k, top-p, min-p
//   buffer 5  args     Args            read
//
// One threadgroup does all of it; dispatch 1 thread. Kernel and reference agree bit for bit: every sum is in float32, from the
// first to the last in the order said, one rounding an addition. Fast math may add up in another order, so a plain `sum + p` will
// not do: fma(p, one, sum), with a 1.0 that the compiler cannot see, rounds once and cannot be split or reordered.
// A token of probability 0 adds nothing, so no sum exceeds anything at it: it is never drawn. A probability below the smallest
// normal float counts as 0, because fast math may flush it. Called once a step where T > 0.
//
//   pytest milestones/m3/test_sample.py
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

// A probability's weight: itself, or 0 if it is subnormal. By its bits, so that every device agrees.
static float weight_of(float p) { return as_type<uint>(p) < 0x00800000u ? 0.0f : p; }

kernel void sample(device const float *p [[buffer(0)]],
                   device const uint *order [[buffer(1)]],
                   device float *weights [[buffer(2)]],
                   device uint *ids [[buffer(3)]],
                   device uint *counts [[buffer(4)]],
                   constant Args &args [[buffer(5)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint t [[thread_position_in_threadgroup]],
                   uint width [[threads_per_threadgroup]]) {
    threadgroup uint left, last;  // left: by top-k and top-p;  last: the highest kept id
    threadgroup float total;
    if (group != 0) return;
    const uint n = args.n;
    for (uint i = t; i < n; i += width) weights[i] = args.filtered != 0 ? 0.0f : weight_of(p[i]);

    if (args.filtered != 0) {
        if (t == 0) {
            uint keep = args.top_k;
            counts[0] = keep;
            if (args.top_p < 1.0f) {
                float sum = 0.0f;
                for (uint j = 0; j < keep; j++) sum = fma(p[order[j]], args.one, sum);
                const float wanted = args.top_p * sum;
                float running = p[order[0]];
                uint reached = 1;
                while (reached < keep && running < wanted) {
                    running = fma(p[order[reached]], args.one, running);
                    reached += 1;
                }
                keep = reached;
            }
            counts[1] = keep;
            left = keep;
        }
        threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
        const float floor = args.min_p * p[order[0]];
        for (uint j = t; j < left; j += width) {
            const uint id = order[j];
            if (p[id] >= floor) weights[id] = weight_of(p[id]);
        }
    } else if (t == 0) {
        counts[0] = n;
        counts[1] = n;
    }
    threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);

    if (t == 0) {
        float sum = 0.0f;
        uint kept = 0, highest = 0;
        for (uint i = 0; i < n; i++) {
            const float weight = weights[i];
            sum = fma(weight, args.one, sum);
            if (weight > 0.0f) {
                highest = i;
                kept += 1;
            }
        }
        counts[2] = kept;
        total = sum;
        last = highest;
    }
    threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);

    for (uint draw = t; draw < args.draws; draw += width) {
        const uint low = args.step_low + draw;
        const uint high = args.step_high + (low < draw ? 1 : 0);
        const uint word = philox4x32(uint4(low, high, 0, 0), uint2(args.seed_low, args.seed_high)).x;
        const float wanted = float(word >> 8) * 5.9604644775390625e-8f * total;  // 2^-24: both factors before are exact
        float running = 0.0f;
        uint chosen = last;
        for (uint i = 0; i < last; i++) {
            running = fma(weights[i], args.one, running);
            if (running > wanted) {
                chosen = i;
                break;
            }
        }
        ids[draw] = chosen;
    }
}
