// From a row of logits to a token where thousands may be left, as by top-p alone: the choice of m3's softmax, argsort and sample,
// bit for bit, without a sort
//
//   buffer 0  logits   float [n]          read
//   buffer 1  maxima   uint [1024 + 32]   read: sample_top_maxima wrote it (sample_top.metal)
//   buffer 2  state    uint [3]           sample_top_threshold wrote it: a threshold that some hundreds of columns reach, the largest
//                                         logit, 0; the last element is to be counted up by sample_wide_weights
//   buffer 3  keys     uint [n]           to be written by sample_wide_weights if args.filtered is 2
//   buffer 4  sums     float [2, 32]      written by sample_wide_sums: Σ exp(x - max), Σ exp((x - max) / T)
//   buffer 5  head     uint [3, n]        to be written by sample_wide_weights if args.filtered is 2: keys, bits of p and ids of the state[2]
//                                         columns that reach the threshold, in no order; then scratch of sample_wide
//   buffer 6  weights  float [n]          to be written by sample_wide_weights: p; then, if args.filtered, by sample_wide: 0 of a cut token
//   buffer 7  cut      uint [4]           to be written by sample_wide_cut: key and id, the end of what is kept; bits of the least p that
//                                         is kept, by sample_wide_weights if args.filtered is 1; 1 if there were too many stretches
//   buffer 8  result   uint [4]           to be written by sample_wide: the id, its own probability (T = 1), how many logits are not finite,
//                                         cut[3]: above 0 the rest is not valid
//   buffer 9  args     Args               read (sampling.h)
//
// Behind sample_top_maxima and sample_top_threshold, four kernels, all with the same buffers:
//   sample_wide_sums     1024 threads: both sums of exponentials in the very order of m3's softmax at width 1024
//   sample_wide_weights  1024 threads: keys, probabilities, and the head of the row
//   sample_wide_cut      one threadgroup; only if args.filtered is 2: how far top-k and top-p reach, and min-p's floor
//   sample_wide          32 threads: weights and draw
//
// Top-p asks for float32 sums in sorted order, and nothing is sorted here: stretches.h says how they are told all the same, a stretch
// at a time. A row has a handful of stretches; where it has 64 (8,193 equal logits, say) the host goes m3's way.
//
//   pytest milestones/m6/test_sample_wide.py
#include <metal_stdlib>
using namespace metal;

#include "../m3/philox.h"
#include "sampling.h"
#include "stretches.h"

constant uint PARTS = 1024, STRETCHES = 64, NOWHERE = 0xFFFFFFFFu;

static float largest_of(device const uint *state) { return as_type<float>(state[1]); }

static float sum_of(device const float *logits, uint n, uint first, uint lane, float largest, float inverse_temperature) {
    float sum = 0.0f;
    for (uint i = first; i < n; i += PARTS)
        if (i + lane < n) sum += power_of(((logits + i)[lane] - largest) * inverse_temperature);
    return simd_sum(sum);
}

kernel void sample_wide_sums(device const float *logits [[buffer(0)]],
                             device const uint *state [[buffer(2)]],
                             device float *sums [[buffer(4)]],
                             constant Args &args [[buffer(9)]],
                             uint group [[threadgroup_position_in_grid]],
                             uint simdgroups [[simdgroups_per_threadgroup]],
                             uint simdgroup [[simdgroup_index_in_threadgroup]],
                             uint lane [[thread_index_in_simdgroup]]) {
    const uint part = group * simdgroups + simdgroup;
    if (part >= PARTS / 32) return;  // the rounded-up tail: whole SIMD-groups
    const float largest = largest_of(state), own = sum_of(logits, args.n, 32 * part, lane, largest, args.one);
    float tempered = own;
    if (args.inverse_temperature != 1.0f)
        tempered = sum_of(logits, args.n, 32 * part, lane, largest, args.inverse_temperature);
    if (lane == 0) {
        sums[part] = own;
        sums[32 + part] = tempered;
    }
}

kernel void sample_wide_weights(device const float *logits [[buffer(0)]],
                                device atomic_uint *state [[buffer(2)]],
                                device uint *keys [[buffer(3)]],
                                device const float *sums [[buffer(4)]],
                                device uint *head [[buffer(5)]],
                                device float *weights [[buffer(6)]],
                                device atomic_uint *cut [[buffer(7)]],
                                constant Args &args [[buffer(9)]],
                                uint group [[threadgroup_position_in_grid]],
                                uint simdgroups [[simdgroups_per_threadgroup]],
                                uint simdgroup [[simdgroup_index_in_threadgroup]],
                                uint lane [[thread_index_in_simdgroup]]) {
    if (group * simdgroups + simdgroup >= PARTS / 32) return;  // the rounded-up tail: whole SIMD-groups
    // Your task: p of every column; if args.filtered is 1, min-p's floor; if it is 2, keys, and the head: those that reach state[0].
}

kernel void sample_wide_cut(device const uint *state [[buffer(2)]],
                            device const uint *keys [[buffer(3)]],
                            device const uint *head_at [[buffer(5)]],
                            device const float *p [[buffer(6)]],
                            device uint *cut [[buffer(7)]],
                            constant Args &args [[buffer(9)]],
                            uint group [[threadgroup_position_in_grid]],
                            uint simdgroups [[simdgroups_per_threadgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]]) {
    if (group != 0) return;
    // Your task, its second part: the end of what top-k and top-p keep, and min-p's floor.
}

kernel void sample_wide(device const float *logits [[buffer(0)]],
                        device const uint *maxima [[buffer(1)]],
                        device const uint *state [[buffer(2)]],
                        device const uint *keys [[buffer(3)]],
                        device const float *sums [[buffer(4)]],
                        device uint *running [[buffer(5)]],
                        device float *weights [[buffer(6)]],
                        device const uint *cut [[buffer(7)]],
                        device uint *result [[buffer(8)]],
                        constant Args &args [[buffer(9)]],
                        uint lane [[thread_position_in_grid]]) {
    if (lane >= 32) return;  // the first SIMD-group
    // Your task, its third part: the weights, and the draw over them in ascending id; then all of the result.
}
