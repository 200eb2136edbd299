// The third element of a list names the first as the next.
// run: grid 1, threadgroup 1
// buffer 0: int 3 1 2 0
// buffer 1: uint 1 empty
// finds time: does not end
#include <metal_stdlib>
using namespace metal;
kernel void count(device const int *next [[buffer(0)]], device uint *out [[buffer(1)]]) {
    uint n = 0;
    int at = 0;
    for (;;) {  // HERE
        if (at < 0) break;
        at = next[at];
        n++;
    }
    out[0] = n;
}
