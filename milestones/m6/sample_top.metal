// From a row of logits to a token where at most k = 512 may be left: the choice of m3's softmax, argsort and sample, bit for bit,
// without a sort of the whole row
//
//   buffer 0  logits      float [n]           read
//   buffer 1  maxima      uint [1024 + 32]    written by sample_top_maxima: keys, then how many are not finite; read by the others
//   buffer 2  state       uint [3]            written by sample_top_threshold: the threshold, the largest logit, 0; the last element
//                                             is counted up by sample_top_sums
//   buffer 3  candidates  uint [2048]         written by sample_top_sums, as many as state[2]: columns in no order
//   buffer 4  sums        float [2, 32]       written by sample_top_sums: Σ exp(x - max), Σ exp((x - max) / T)
//   buffer 5  order       uint [512]          written by sample_top, k elements: the k largest columns, ties to the lower one
//   buffer 6  p           float [512]         written by sample_top, k elements: their probabilities
//   buffer 7  kept        uint [2, 512]       scratch: kept ids in ascending order, and their weights' bits
//   buffer 8  result      uint [4]            written by sample_top: the id, its own probability (T = 1), how many are not finite,
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
// A sort reads and writes all 49,152 columns eight times; here they are read twice. Called once a step.
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
    uint own[32], largest = 0;
    for (uint j = 0; j < 32; j++) {
        own[j] = maxima[32 * j + lane];
        largest = max(largest, own[j]);
    }
    uint threshold = 0;  // the largest number that at least k of the maxima reach
    for (uint bit = 0x80000000u; bit != 0; bit >>= 1) {
        uint reached = 0;
        for (uint j = 0; j < 32; j++) reached += own[j] >= (threshold | bit) ? 1 : 0;
        if (simd_sum(reached) >= args.top_k) threshold |= bit;
    }
    largest = simd_max(largest);
    if (lane == 0) {
        state[0] = threshold;
        state[1] = (largest & 0x80000000u) != 0 ? largest & 0x7FFFFFFFu : ~largest;
        state[2] = 0;
    }
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
    const uint count = min(state[2], ROOM), k = args.top_k;
    const float largest = as_type<float>(state[1]);
    const float own_total = simd_sum(sums[lane]), total = simd_sum(sums[32 + lane]);
    const uint bad = simd_sum(maxima[PARTS + lane]);

    for (uint c = lane; c < count; c += 32) {
        const uint id = candidates[c], key = key_of(as_type<uint>(logits[id]));
        uint place = 0;
        for (uint d = 0; d < count; d++) {
            const uint other = candidates[d], against = key_of(as_type<uint>(logits[other]));
            place += against > key || (against == key && other < id) ? 1 : 0;
        }
        if (place < k) {
            order[place] = id;
            p[place] = power_of((logits[id] - largest) * args.inverse_temperature) / total;
        }
    }
    simdgroup_barrier(mem_flags::mem_device);

    uint left = min(k, count);
    if (args.top_p < 1.0f) {  // every lane for itself: the same sums
        float sum = 0.0f;
        for (uint j = 0; j < left; j++) sum = fma(p[j], args.one, sum);
        const float wanted = args.top_p * sum;
        float running = p[0];
        uint reached = 1;
        while (reached < left && running < wanted) {
            running = fma(p[reached], args.one, running);
            reached += 1;
        }
        left = reached;
    }
    const float floor = args.min_p * p[0];
    for (uint j = lane; j < left; j += 32) {
        uint place = 0;
        for (uint i = 0; i < left; i++) place += order[i] < order[j] ? 1 : 0;
        kept[place] = order[j];
        kept[MOST + place] = as_type<uint>(p[j] >= floor ? weight_of(p[j]) : 0.0f);
    }
    simdgroup_barrier(mem_flags::mem_device);

    uint id = 0;
    if (lane == 0) {
        float sum = 0.0f;
        uint last = 0;
        for (uint i = 0; i < left; i++) {
            const float weight = as_type<float>(kept[MOST + i]);
            sum = fma(weight, args.one, sum);
            if (weight > 0.0f) last = i;
        }
        const float wanted = wanted_of(args, sum);
        float running = 0.0f;
        uint chosen = last;
        for (uint i = 0; i < last; i++) {
            running = fma(as_type<float>(kept[MOST + i]), args.one, running);
            if (running > wanted) {
                chosen = i;
                break;
            }
        }
        id = left > 0 ? kept[chosen] : 0;
    }
    id = simd_broadcast(id, 0);
    const uint mine = id - id % 32 + lane;  // every lane its own: as in m3, where a device may compute exp of 32 numbers at once
    const float inverse = simd_broadcast(1.0f / own_total, 0);  // m3 divides in a loop, where a compiler multiplies by the inverse
    const float own = power_of((logits[min(mine, args.n - 1)] - largest) * args.one) * inverse;
    if (mine != id) return;
    result[0] = id;
    result[1] = as_type<uint>(own);
    result[2] = bad;
    result[3] = state[2];
}
