// A helper sums a row up to and with its end.
// run: grid 3, threadgroup 3
// buffer 0: uchar 30 ramp
// buffer 1: uint 3 empty
// finds bounds: reads 1 byte outside buffer(0) 'x', at byte 30: it ends at byte 30
#include <metal_stdlib>
using namespace metal;
template <typename T> uint sum(device const T *row, uint n) {
    uint all = 0;
    uint k = 0;
    do {
        all += row[k];  // HERE
    } while (++k <= n);
    return all;
}
kernel void rows(device const uchar *x [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = sum(x + 10 * i, 10u);
}
