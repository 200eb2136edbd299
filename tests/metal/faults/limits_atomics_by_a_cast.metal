// A float's bits are counted up as if they were an atomic_uint.
// checks: limits
// run: grid 32, threadgroup 32
// buffer 0: float 1 zeros
// finds limits: atomic operations on what is not declared atomic
#include <metal_stdlib>
using namespace metal;
kernel void count(device float *total [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    device atomic_uint *bits = (device atomic_uint *)total;  // HERE
    atomic_fetch_add_explicit(bits, 1u, memory_order_relaxed);
}
