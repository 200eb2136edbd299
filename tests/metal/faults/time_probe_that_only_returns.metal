// Nothing but a return leaves the loop: the compiler may take it that nothing else does.
// run: grid 32, threadgroup 32
// buffer 0: uint 7 8 9 10
// buffer 1: uint 32 empty
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
static uint find(device const uint *table, uint key) {
    for (uint slot = key & 3;; slot = (slot + 1) & 3) {  // HERE
        if (table[slot] == key) return slot;
    }
}
kernel void look(device const uint *table [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = find(table, i % 4 + 8);
}
