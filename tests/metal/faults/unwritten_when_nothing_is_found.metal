// The place of the first negative element, of a row that has none.
// run: grid 4, threadgroup 4
// buffer 0: int 16 1 2 -3 4 5 6 7
// buffer 1: uint 4 empty
// finds unwritten: reads found, which this thread has not written
#include <metal_stdlib>
using namespace metal;
kernel void first_negative(device const int *x [[buffer(0)]], device uint *out [[buffer(1)]],
                           uint i [[thread_position_in_grid]]) {
    uint found;
    for (uint k = 0; k < 4; k++) {
        if (x[4 * i + k] < 0) {
            found = k;
            break;
        }
    }
    out[i] = found;  // HERE
}
