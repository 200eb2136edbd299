// Argmax over finite values: out[r] = the column of row r's largest logit, ties to the lower column
//
//   buffer 0  logits  uint [rows, n]   read: the bits of floats
//   buffer 1  out     uint [rows]      written, every element; 0xFFFFFFFF for a row without a finite value
//   buffer 2  args    Args             read
//
// NaN and infinities are skipped. Fast math may assume they do not exist, so nothing here compares floats: the bits of a float,
// turned around for negative ones, sort like unsigned integers. -0 and +0 are one value, hence a tie. One SIMD-group a row, its
// lanes striding over the columns; dispatch rows * 32 threads. Called once a step to pick the next token: temperature 0.
//
//   pytest milestones/m3/test_argmax.py
#include <metal_stdlib>
using namespace metal;

constant uint NOTHING = 0xFFFFFFFFu;

struct Args {
    uint rows;
    uint n;
};

// An unsigned integer that grows with the float; 0 for NaN and infinities, which no finite float gives.
static uint rank_of(uint bits) {
    if ((bits & 0x7F800000u) == 0x7F800000u) return 0;
    if (bits == 0x80000000u) bits = 0;  // -0 counts as +0
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

kernel void argmax(device const uint *logits [[buffer(0)]],
                   device uint *out [[buffer(1)]],
                   constant Args &args [[buffer(2)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]]) {
    const uint row = group * simdgroups + simdgroup;
    if (row >= args.rows) return;  // the rounded-up tail: whole SIMD-groups
    const uint n = args.n;
    device const uint *in = logits + ulong(row) * n;

    uint best = 0, at = NOTHING;  // of this lane's columns; the first of equals, because only a larger one replaces it
    for (uint i = 0; i < n; i += 32) {
        if (i + lane < n) {
            const uint rank = rank_of((in + i)[lane]);
            if (rank > best) {
                best = rank;
                at = i + lane;
            }
        }
    }
    const uint largest = simd_max(best);
    const uint winner = simd_min(best == largest ? at : NOTHING);
    if (lane == 0) out[row] = winner;
}
