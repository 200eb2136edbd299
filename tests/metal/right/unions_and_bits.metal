// One value read as another type: by as_type, by a union, by pointers.
// run: grid 32, threadgroup 32
// buffer 0: uint 32 ramp
// buffer 1: float 32 empty
// buffer 2: uchar 128 empty
#include <metal_stdlib>
using namespace metal;
union Word {
    uint whole;
    uchar parts[4];
};
kernel void turn(device const uint *x [[buffer(0)]], device float *out [[buffer(1)]], device uchar *bytes [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
    Word word;
    word.whole = x[i] * 3 + 1;
    for (uint k = 0; k < 4; k++) bytes[4 * i + k] = word.parts[3 - k];
    const uint flags = insert_bits(x[i], i, 0, 5);
    thread const uchar4 *four = (thread const uchar4 *)&word;
    out[i] = as_type<float>(0x3f800000u | flags << 5 | extract_bits(flags, 0, 5)) + (*four).x;
}
