// Random words by Philox4x32-10: out[i] = the four words of counter[i] under the key
//
//   buffer 0  counters  uint4 [n]   read
//   buffer 1  out       uint4 [n]   written, every element
//   buffer 2  args      Args        read
//
// One thread a counter; dispatch n threads. The function itself is in philox.h, which sample.metal includes; this kernel shows
// its words bare, so that they can be held against published ones.
//
//   pytest milestones/m3/test_philox.py
#include <metal_stdlib>
using namespace metal;

#include "philox.h"

struct Args {
    uint n;
    uint key_low;
    uint key_high;
};

kernel void philox(device const uint4 *counters [[buffer(0)]],
                   device uint4 *out [[buffer(1)]],
                   constant Args &args [[buffer(2)]],
                   uint i [[thread_position_in_grid]]) {
    if (i >= args.n) return;
    out[i] = philox4x32(counters[i], uint2(args.key_low, args.key_high));
}
