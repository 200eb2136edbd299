// Argsort, descending: order[r, j] = the column of row r's j-th largest logit, ties to the lower column
//
//   buffer 0  logits   uint [rows, n]   read: the bits of floats
//   buffer 1  order    uint [rows, n]   written, every element: a permutation of 0 … n - 1 in each row
//   buffer 2  scratch  uint [rows, n]   written and read
//   buffer 3  args     Args             read
//
// A radix sort, least significant digit first: eight passes, four bits of the key each. A pass keeps the order of equal digits,
// and the first starts from ascending columns, hence ties go to the lower column. The key grows as the logit falls; -0 and +0
// are one value, NaN and infinities come last (they are told by their bits: fast math may assume that they do not exist).
//
// One threadgroup a row, striding over rows. In a pass, each thread has a run of neighbouring places: it counts the digits in
// its run; a scan over all threads, digit after digit, says where each thread's first element of each digit goes (within a
// SIMD-group by simd_prefix_exclusive_sum, over the SIMD-groups by the first one, through threadgroup memory); then each thread
// walks its run again and puts every element where it goes. Dispatch rows * 1024 threads. Called once a step where top-k,
// top-p or min-p is on.
//
//   pytest milestones/m3/test_argsort.py
#include <metal_stdlib>
using namespace metal;

constexpr constant uint BITS = 4;
constexpr constant uint DIGITS = 16;
constexpr constant uint PASSES = 8;  // even: the last pass writes to `order`

struct Args {
    uint rows;
    uint n;
};

// An unsigned integer that grows as the float falls; the largest for NaN and infinities, which no finite float gives.
static uint key_of(uint bits) {
    if ((bits & 0x7F800000u) == 0x7F800000u) return 0xFFFFFFFFu;
    if (bits == 0x80000000u) bits = 0;  // -0 counts as +0
    return (bits & 0x80000000u) != 0 ? bits : ~(bits | 0x80000000u);
}

kernel void argsort(device const uint *logits [[buffer(0)]],
                    device uint *order [[buffer(1)]],
                    device uint *scratch [[buffer(2)]],
                    constant Args &args [[buffer(3)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint t [[thread_position_in_threadgroup]],
                    uint width [[threads_per_threadgroup]],
                    uint simdgroups [[simdgroups_per_threadgroup]],
                    uint simdgroup [[simdgroup_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup uint totals[DIGITS * 32];  // of each digit in each SIMD-group; then where its first one goes
    const uint n = args.n;
    const uint run = (n + width - 1) / width;
    const uint begin = min(t * run, n), end = min(begin + run, n);

    for (uint row = group; row < args.rows; row += groups) {
        device const uint *in = logits + ulong(row) * n;
        for (uint pass = 0; pass < PASSES; pass++) {
            device const uint *from = (pass % 2 == 0 ? order : scratch) + ulong(row) * n;  // pass 0 reads none: columns in order
            device uint *to = (pass % 2 == 0 ? scratch : order) + ulong(row) * n;
            const uint shift = pass * BITS;

            uint next[DIGITS];  // how many of each digit this thread has; then where its next one goes
            for (uint d = 0; d < DIGITS; d++) next[d] = 0;
            for (uint i = begin; i < end; i++) {
                const uint column = pass == 0 ? i : from[i];
                next[(key_of(in[column]) >> shift) % DIGITS] += 1;
            }
            for (uint d = 0; d < DIGITS; d++) {
                const uint before = simd_prefix_exclusive_sum(next[d]);
                if (lane == 31) totals[d * 32 + simdgroup] = before + next[d];
                next[d] = before;
            }
            threadgroup_barrier(mem_flags::mem_threadgroup);
            if (simdgroup == 0) {
                uint placed = 0;
                for (uint d = 0; d < DIGITS; d++) {
                    const uint mine = lane < simdgroups ? totals[d * 32 + lane] : 0;
                    totals[d * 32 + lane] = placed + simd_prefix_exclusive_sum(mine);
                    placed += simd_sum(mine);
                }
            }
            threadgroup_barrier(mem_flags::mem_threadgroup);
            for (uint d = 0; d < DIGITS; d++) next[d] += totals[d * 32 + simdgroup];
            for (uint i = begin; i < end; i++) {
                const uint column = pass == 0 ? i : from[i];
                const uint digit = (key_of(in[column]) >> shift) % DIGITS;
                to[next[digit]] = column;
                next[digit] += 1;
            }
            threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);  // the next pass reads what others wrote
        }
    }
}
