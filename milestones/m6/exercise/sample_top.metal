// From a row of logits to a token where at most k = 512 may be left: the choice of m3's softmax, argsort and sample, bit for bit,
// without a sort of the whole row
//
//   buffer 0  logits      float [n]           read
//   buffer 1  maxima      uint [1024 + 32]    written by sample_top_maxima: keys, then how many are not finite; read by the others
//   buffer 2  state       uint [3]            to be written by sample_top_threshold: the threshold, the largest logit, 0; the last element
//                                             is counted up by sample_top_sums
//   buffer 3  candidates  uint [2048]         written by sample_top_sums, as many as state[2]: columns in no order
//   buffer 4  sums        float [2, 32]       written by sample_top_sums: Σ exp(x - max), Σ exp((x - max) / T)
//   buffer 5  order       uint [512]          to be written by sample_top, k elements: the k largest columns, ties to the lower one
//   buffer 6  p           float [512]         to be written by sample_top, k elements: their probabilities
//   buffer 7  kept        uint [2, 512]       scratch: kept ids in ascending order, and their weights' bits
//   buffer 8  result      uint [4]            to be written by sample_top: the id, its own probability (T = 1), how many are not finite,
//                                             how many candidates there were: above 2048 the rest is not valid
//   buffer 9  args        Args                read
//
// Four kernels, in this order, all with the same buffers:
//   sample_top_maxima     1024 threads: thread v looks through columns v, v + 1024, … for the largest
//   sample_top_threshold  32 threads: the k-th largest of the 1024 maxima. k columns are at least as large, so no column below it is
//                         among the k largest of the row: what is left is a few more than k. Bit by bit, in registers.
//   sample_top_sums       1024 threads: the candidates, and both sums of exponentials in the very order of m3's softmax at width 1024
//   sample_top            32 threads: each candidate's place is how many come before it; then cuts and draw as in m3/sample.metal
//
//   pytest milestones/m6/test_sample_top.py
#include <metal_stdlib>
using namespace metal;

#include "../m3/philox.h"
#include "sampling.h"

constant uint PARTS = 1024, MOST = 512, ROOM = 2048;

kernel void sample_top_maxima(device const uint *logits [[buffer(0)]],
                              device uint *maxima [[buffer(1)]],
                              constant Args &args [[buffer(9)]],
                              uint group [[threadgroup_position_in_grid]],
                              uint simdgroups [[simdgroups_per_threadgroup]],
                              uint simdgroup [[simdgroup_index_in_threadgroup]],
                              uint lane [[thread_index_in_simdgroup]]) {
    const uint part = group * simdgroups + simdgroup;
    if (part >= PARTS / 32) return;  // the rounded-up tail: whole SIMD-groups
    uint largest = 0, bad = 0;
    for (uint i = 32 * part; i < args.n; i += PARTS) {
        if (i + lane < args.n) {
            const uint key = key_of((logits + i)[lane]);
            largest = max(largest, key);
            bad += key == 0 ? 1 : 0;
        }
    }
    maxima[32 * part + lane] = largest;
    bad = simd_sum(bad);
    if (lane == 0) maxima[PARTS + part] = bad;
}

kernel void sample_top_threshold(device const uint *maxima [[buffer(1)]],
                                 device uint *state [[buffer(2)]],
                                 constant Args &args [[buffer(9)]],
                                 uint lane [[thread_position_in_grid]]) {
    if (lane >= 32) return;  // the first SIMD-group
    // Your task: the threshold and the largest logit, of the 1024 maxima; the third number of the state is 0.
}

kernel void sample_top_sums(device const float *logits [[buffer(0)]],
                            device atomic_uint *state [[buffer(2)]],
                            device uint *candidates [[buffer(3)]],
                            device float *sums [[buffer(4)]],
                            constant Args &args [[buffer(9)]],
                            uint group [[threadgroup_position_in_grid]],
                            uint simdgroups [[simdgroups_per_threadgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]]) {
    const uint part = group * simdgroups + simdgroup;
    if (part >= PARTS / 32) return;  // the rounded-up tail: whole SIMD-groups
    const uint threshold = atomic_load_explicit(&state[0], memory_order_relaxed);
    const float largest = as_type<float>(atomic_load_explicit(&state[1], memory_order_relaxed));
    float own = 0.0f, tempered = 0.0f;
    for (uint i = 32 * part; i < args.n; i += PARTS) {
        if (i + lane < args.n) {
            const float x = (logits + i)[lane];
            own += power_of(x - largest);
            tempered += power_of((x - largest) * args.inverse_temperature);
            if (key_of(as_type<uint>(x)) >= threshold) {
                const uint at = atomic_fetch_add_explicit(&state[2], 1u, memory_order_relaxed);
                if (at < ROOM) candidates[at] = i + lane;
            }
        }
    }
    own = simd_sum(own);
    tempered = simd_sum(tempered);
    if (lane == 0) {
        sums[part] = own;
        sums[32 + part] = tempered;
    }
}

kernel void sample_top(device const float *logits [[buffer(0)]],
                       device const uint *maxima [[buffer(1)]],
                       device const uint *state [[buffer(2)]],
                       device const uint *candidates [[buffer(3)]],
                       device const float *sums [[buffer(4)]],
                       device uint *order [[buffer(5)]],
                       device float *p [[buffer(6)]],
                       device uint *kept [[buffer(7)]],
                       device uint *result [[buffer(8)]],
                       constant Args &args [[buffer(9)]],
                       uint lane [[thread_position_in_grid]]) {
    if (lane >= 32) return;  // the first SIMD-group
    // Your task, its second part: order and p of the k largest candidates; then the cuts, the draw, and all of the result.
}
