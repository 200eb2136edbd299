// Products that leave 32 bits on purpose; the remainder is the index.
// run: grid 64, threadgroup 64
// buffer 0: uint 64 ramp
// buffer 1: uint 64 empty
// buffer 2: uint 16 ramp
#include <metal_stdlib>
using namespace metal;
inline uint mixed(uint x) {
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    return x ^ x >> 16;
}
kernel void look_up(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], device const uint *table [[buffer(2)]],
                    uint i [[thread_position_in_grid]]) {
    uint state = 2166136261u;
    for (uint k = 0; k < 4; k++) state = (state ^ (x[i] >> (8 * k) & 255)) * 16777619u;
    out[i] = table[mixed(state) % 16] + table[(state * 2654435761u) >> 28] + mixed(i);
}
