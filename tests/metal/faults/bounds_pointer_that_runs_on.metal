// A search for a zero that is not there.
// run: grid 1, threadgroup 1
// buffer 0: uchar 9 7 6 5
// buffer 1: uint 1 empty
// finds bounds: reads 1 byte outside buffer(0) 'text', at byte 9: it ends at byte 9
#include <metal_stdlib>
using namespace metal;
kernel void length_of(device const uchar *text [[buffer(0)]], device uint *out [[buffer(1)]]) {
    device const uchar *p = text;
    while (*p != 0 && p - text < 12) p++;  // HERE
    out[0] = uint(p - text);
}
