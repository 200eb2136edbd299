// Eight threads set their bits in one byte.
// run: grid 64, threadgroup 64
// buffer 0: float 64 ramp
// buffer 1: uchar 8 zeros
// finds races: of buffer(1) 'mask', which thread
#include <metal_stdlib>
using namespace metal;
inline void set_bit(device uchar *mask, uint i, bool on) {
    if (on) mask[i / 8] |= uchar(1u << (i % 8));  // HERE
}
kernel void positive(device const float *x [[buffer(0)]], device uchar *mask [[buffer(1)]],
                     uint i [[thread_position_in_grid]]) {
    set_bit(mask, i, x[i] >= 0);
}
