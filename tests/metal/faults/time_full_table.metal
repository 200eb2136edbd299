// Open addressing in a table that has no free place.
// run: grid 8, threadgroup 8
// buffer 0: uint 8 11 12 13
// buffer 1: uint 4 zeros
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
kernel void insert(device const uint *keys [[buffer(0)]], device atomic_uint *table [[buffer(1)]],
                   uint i [[thread_position_in_grid]]) {
    uint at = i * 2654435761u % 4;
    while (true) {  // HERE
        uint expected = 0;
        if (atomic_compare_exchange_weak_explicit(&table[at], &expected, keys[i] * 8 + i, memory_order_relaxed,
                                                  memory_order_relaxed))
            break;
        if (expected != 0) at = (at + 1) % 4;
    }
}
