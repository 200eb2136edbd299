// A lock within a SIMD-group: the lane that has it waits for those that turn in the loop.
// run: grid 32, threadgroup 32
// buffer 0: uint 1 zeros
// buffer 1: uint 1 zeros
// finds time: does not end: stopped after 0.3 s in this loop
#include <metal_stdlib>
using namespace metal;
kernel void count(device atomic_uint *lock [[buffer(0)]], device uint *out [[buffer(1)]]) {
    while (atomic_exchange_explicit(lock, 1, memory_order_relaxed) != 0) {  // HERE
    }
    atomic_fetch_add_explicit((device atomic_uint *)out, 1, memory_order_relaxed);
}
