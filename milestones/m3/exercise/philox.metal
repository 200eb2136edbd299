// Random words by Philox4x32-10: out[i] = the four words of counters[i] under the key
//
//   buffer 0  counters  uint4 [n]   read
//   buffer 1  out       uint4 [n]   written, every element
//   buffer 2  args      Args        read
//
// The function itself, philox4x32(counter, key), is in philox.h beside this file; sample.metal includes it too. This kernel shows
// its words bare, so that they can be held against the published ones. The key is (key_low, key_high).
// Dispatched with n threads, one a counter, rounded up to whole threadgroups: threads with i >= n must touch no buffer. A
// threadgroup's width is any multiple of 32 up to 1024.
//
//   pytest -x milestones/m3/test_philox.py
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
    // Your task: write out[i], for this thread's i, if there is such a counter. The ten rounds are philox.h's task.
}
