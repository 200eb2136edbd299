// Bytes and halves that stand in one word, written by different threads and threadgroups.
// run: grid 99, threadgroup 33
// buffer 0: float 99 ramp
// buffer 1: uchar 99 empty
// buffer 2: half 99 empty
// buffer 3: ushort 99 zeros
#include <metal_stdlib>
using namespace metal;
kernel void narrow(device const float *x [[buffer(0)]], device uchar *bytes [[buffer(1)]], device half *halves [[buffer(2)]],
                   device ushort *shorts [[buffer(3)]], uint i [[thread_position_in_grid]],
                   ushort l [[thread_position_in_threadgroup]]) {
    threadgroup uchar tile[33];
    tile[l] = uchar(x[i] * 8);
    bytes[i] = tile[l];
    halves[i] = half(x[i]);
    shorts[i] += bytes[i] + ushort(halves[i]);
}
