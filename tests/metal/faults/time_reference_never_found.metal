// A helper hands on a reference, and its loop is left only by that.
// run: grid 32, threadgroup 32
// buffer 0: uint 4 zeros
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
static device uint &place(device uint *table, uint key) {
    for (uint slot = 0;; slot = (slot + 1) & 3)  // HERE
        if (table[slot] == key) return table[slot];
}
kernel void mark(device uint *table [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    if (i == 0) place(table, 5) = 6;
}
