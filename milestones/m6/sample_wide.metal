// From a row of logits to a token where thousands may be left, as by top-p alone: the choice of m3's softmax, argsort and sample,
// bit for bit, without a sort
//
//   buffer 0  logits   float [n]          read
//   buffer 1  maxima   uint [1024 + 32]   read: sample_top_maxima wrote it (sample_top.metal)
//   buffer 2  state    uint [3]           sample_top_threshold wrote it: a threshold that some hundreds of columns reach, the largest
//                                         logit, 0; the last element is counted up by sample_wide_weights
//   buffer 3  keys     uint [n]           written by sample_wide_weights if args.filtered is 2
//   buffer 4  sums     float [2, 32]      written by sample_wide_sums: Σ exp(x - max), Σ exp((x - max) / T)
//   buffer 5  head     uint [3, n]        written by sample_wide_weights if args.filtered is 2: keys, bits of p and ids of the state[2]
//                                         columns that reach the threshold, in no order; then scratch of sample_wide
//   buffer 6  weights  float [n]          written by sample_wide_weights: p; then, if args.filtered, by sample_wide: 0 of a cut token
//   buffer 7  cut      uint [4]           written by sample_wide_cut: key and id, the end of what is kept; bits of the least p that
//                                         is kept, by sample_wide_weights if args.filtered is 1; 1 if there were too many stretches
//   buffer 8  result   uint [4]           written by sample_wide: the id, its own probability (T = 1), how many logits are not finite,
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
    const uint part = group * simdgroups + simdgroup;
    if (part >= PARTS / 32) return;  // the rounded-up tail: whole SIMD-groups
    const uint n = args.n, threshold = atomic_load_explicit(&state[0], memory_order_relaxed);
    const float largest = as_type<float>(atomic_load_explicit(&state[1], memory_order_relaxed));
    const float total = simd_sum(sums[32 + lane]);
    for (uint i = 32 * part; i < n; i += PARTS) {
        if (i + lane < n) {
            const float p = power_of(((logits + i)[lane] - largest) * args.inverse_temperature) / total;
            (weights + i)[lane] = args.filtered != 0 ? p : weight_of(p);
        }
    }
    if (args.filtered == 1)
        for (uint i = 32 * part; i < n; i += PARTS)
            if (i + lane < n && (logits + i)[lane] == largest)  // where there are several, they write the same
                atomic_store_explicit(&cut[2], as_type<uint>(args.min_p * (weights + i)[lane]), memory_order_relaxed);
    if (args.filtered < 2) return;
    uint mine = 0;  // of this lane's columns, how many go to the head
    for (uint i = 32 * part; i < n; i += PARTS) {
        if (i + lane < n) {
            const uint key = key_of(as_type<uint>((logits + i)[lane]));
            (keys + i)[lane] = key;
            mine += key >= threshold ? 1 : 0;
        }
    }
    const uint before = simd_prefix_exclusive_sum(mine), count = simd_sum(mine);
    uint at = 0;
    if (lane == 0) at = atomic_fetch_add_explicit(&state[2], count, memory_order_relaxed);
    at = simd_broadcast(at, 0) + before;
    for (uint i = 32 * part; i < n; i += PARTS) {
        if (i + lane < n && (keys + i)[lane] >= threshold && at < n) {
            head[at] = (keys + i)[lane];
            head[n + at] = as_type<uint>((weights + i)[lane]);
            head[2 * n + at] = i + lane;
            at += 1;
        }
    }
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
    threadgroup uint partial[32];
    threadgroup float begins[STRETCHES], ends[STRETCHES];      // of each stretch: the sum behind its first column, and behind its last
    threadgroup uint from_key[STRETCHES], from_id[STRETCHES];  // where it begins
    if (group != 0) return;
    const uint n = args.n;
    const Team all = {keys, p, keys, n, partial, simdgroup, simdgroups, lane};
    device const float *head_p = (device const float *)(head_at + n);
    const Team head = {head_at, head_p, head_at + 2 * n, min(state[2], n), partial, simdgroup, simdgroups, lane};

    const uint largest = key_of(state[1]), winner = min(lowest_id<false>(head, largest, false, {0, 0}, 0.0f), n - 1);
    const End none = {NOWHERE, 0}, first = {largest, winner + 1};
    End end = {0, n};
    if (args.top_k < n) end = reached(all, head, none, end, 0.0f, args.top_k);

    uint count = 0;
    if (args.top_p < 1.0f) {
        End at = first;
        float sum = p[winner];
        for (; count < STRETCHES; count++) {
            const float scale = scale_of(sum);
            const uint begin = mantissa(sum);
            const Stretch whole = stretch(all, at, end, scale);
            uint units = whole.units;
            bool more = whole.half_key > 0;
            End until = end, next = end;
            if (more) {
                const uint id = lowest_id<true>(all, whole.half_key, true, at, scale);
                until = {whole.half_key, id};
                next = {whole.half_key, id + 1};
                units = units_between<true>(all, at, until, scale);
            }
            if (begin + units >= FULL) {
                more = true;
                next = reached(all, head, at, until, scale, FULL - begin);
                units = units_between<true>(all, at, {next.key, next.id - 1}, scale);
            }
            if (simdgroup == 0 && lane == 0) {
                begins[count] = sum;
                ends[count] = with_mantissa(sum, begin + units);
                from_key[count] = at.key;
                from_id[count] = at.id;
            }
            sum = with_mantissa(sum, begin + units);
            if (!more) break;
            sum = fma(p[min(next.id, n) - 1], args.one, sum);
            at = next;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);

        const float wanted = args.top_p * sum;
        if (count < STRETCHES) {
            uint s = 0;  // the stretch that reaches it, be it with its first column
            while (s < count && ends[s] < wanted) s++;
            const End from = {from_key[s], from_id[s]};
            if (begins[s] >= wanted) end = from;
            else end = reached(all, head, from, end, scale_of(begins[s]), mantissa(wanted) - mantissa(begins[s]));
        }
    }
    if (simdgroup == 0 && lane == 0) {
        cut[0] = end.key;
        cut[1] = end.id;
        cut[2] = as_type<uint>(args.min_p * p[winner]);
        cut[3] = count < STRETCHES ? 0 : 1;
    }
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
    const uint n = args.n, strips = (n + STRIP * 32 - 1) / (STRIP * 32);
    const bool filtered = args.filtered != 0, ordered = args.filtered == 2;
    const End end = {ordered ? cut[0] : 0u, ordered ? cut[1] : n};
    const float least = filtered ? as_type<float>(cut[2]) : 0.0f;
    float sum = 0.0f;
    uint last = 0;
    for (uint strip = 0; strip < strips; strip++) {
        float own[STRIP];  // this lane's weights
        uint kept = 0;
        for (uint t = 0; t < STRIP; t++) {
            const uint i = (strip * STRIP + t) * 32;
            own[t] = 0.0f;
            if (i + lane < n) {
                float weight = weight_of((weights + i)[lane]);
                if (ordered && !within((keys + i)[lane], i + lane, end)) weight = 0.0f;
                if (weight < least) weight = 0.0f;
                own[t] = weight;
                if (filtered) (weights + i)[lane] = weight;
                last = weight > 0.0f ? i + lane : last;
                kept += weight > 0.0f ? 1 : 0;
            }
        }
        kept = simd_sum(kept);
        if (kept > 0) sum = added(own, kept, sum, args.one);
        if (lane == 0) running[strip] = as_type<uint>(sum);
    }
    last = simd_max(last);
    simdgroup_barrier(mem_flags::mem_device);

    const float wanted = wanted_of(args, sum);
    uint strip = NOWHERE;
    for (uint i = lane; i < strips && strip == NOWHERE; i += 32)
        if (as_type<float>(running[i]) > wanted) strip = i;
    strip = simd_min(strip);
    uint id = last;  // rounding may let none exceed
    if (strip != NOWHERE) {
        float upto = strip > 0 ? as_type<float>(running[strip - 1]) : 0.0f;
        const uint begin = strip * STRIP * 32, behind = min(begin + STRIP * 32, n);
        for (uint i = begin; i < behind; i++) {
            upto = fma(weights[i], args.one, upto);
            if (upto > wanted) {
                id = i;
                break;
            }
        }
    }
    const float own_total = simd_sum(sums[lane]);
    const uint bad = simd_sum(maxima[PARTS + lane]);
    const uint mine = id - id % 32 + lane;  // every lane its own: as in m3, where a device may compute exp of 32 numbers at once
    const float own = power_of((logits[min(mine, n - 1)] - largest_of(state)) * args.one) / own_total;
    if (mine != id) return;
    result[0] = id;
    result[1] = as_type<uint>(own);
    result[2] = bad;
    result[3] = ordered ? cut[3] : 0;
}
