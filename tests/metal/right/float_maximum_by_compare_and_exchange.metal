// The loop of an atomic that Metal does not have.
// run: grid 96, threadgroup 32
// buffer 0: float 96 ramp
// buffer 1: uint 1 zeros
#include <metal_stdlib>
using namespace metal;
inline void maximum(device atomic_uint *where, float v) {
    uint old = atomic_load_explicit(where, memory_order_relaxed);
    while (as_type<float>(old) < v) {
        if (atomic_compare_exchange_weak_explicit(where, &old, as_type<uint>(v), memory_order_relaxed, memory_order_relaxed)) break;
    }
}
kernel void most(device const float *x [[buffer(0)]], device atomic_uint *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    maximum(out, x[i]);
}
