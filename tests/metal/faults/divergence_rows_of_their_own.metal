// Two threadgroups with a row each: threads without a column are sent on over the barrier, and write the other row's elements.
// run: grid 64, threadgroup 32
// buffer 0: uint 6 ramp
// buffer 1: uint 64 empty
// finds divergence: reaches the threadgroup_barrier that hangs on t < 3
#include <metal_stdlib>
using namespace metal;
kernel void turn(device const uint *x [[buffer(0)]], device uint *y [[buffer(1)]], uint t [[thread_position_in_threadgroup]],
                 uint group [[threadgroup_position_in_grid]]) {
    threadgroup uint line[32];
    if (t < 3) {  // HERE
        line[t] = x[group * 3 + t];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        y[group * 3 + t] = line[2 - t];
    }
}
