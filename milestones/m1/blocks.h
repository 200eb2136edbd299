// How a file holds 32 values of each kind, and the bits of the float that value `lane` of them is. Used by dequantize.metal and
// get_rows.metal.
//
//   F32   32 floats, 128 bytes                                                  the same bits
//   F16   32 halves, 64 bytes                                                   exact
//   BF16  32 upper halves of floats, 64 bytes                                   the same bits, then zeros
//   Q8_0  34 bytes: half d, 32 signed bytes q                                   d * q
//   Q4_0  18 bytes: half d, 16 bytes of two nibbles q                           d * (q - 8)
//   Q4_1  20 bytes: half d, half m, 16 bytes of two nibbles q                   d * q + m
//
// The low nibbles are the first 16 values, the high ones the last 16. Everything goes out as whole numbers: a float's bits might be
// changed on the way (NaNs, subnormals). The products equal those in float32 bit for bit though fast math may fuse them: d has 11
// significant bits and q at most 8, so d * q has at most 19, is a multiple of 2^-24 and below 2^23: exact in float. Thus only
// the addition rounds, fused or not. A result is zero or at least 2^-24, so nothing can be flushed.
#ifndef FIRSTLIGHT_BLOCKS_H
#define FIRSTLIGHT_BLOCKS_H

// The float of a half's bits, by whole numbers: the half's subnormals, infinities and NaNs too, whatever fast math does.
inline uint bits_of_half(ushort half_bits) {
    const uint sign = uint(half_bits & 0x8000) << 16;
    const uint exponent = (half_bits >> 10) & 31;
    const uint mantissa = half_bits & 1023;
    const uint subnormal = as_type<uint>(float(mantissa) * 5.9604644775390625e-8f);  // 2^-24
    const uint normal = ((exponent + 112) << 23) | (mantissa << 13);
    const uint special = 0x7F800000 | (mantissa << 13);
    return sign | (exponent == 0 ? subnormal : exponent == 31 ? special : normal);
}

inline float half_at(device const uchar *at) {
    return as_type<float>(bits_of_half(*(device const ushort *)at));  // blocks are 18, 20 or 34 bytes: always at an even address
}

inline uint nibble_at(device const uchar *nibbles, uint lane) { return (nibbles[lane % 16] >> (lane / 16 * 4)) & 15; }

struct F32 {
    static constexpr uint bytes() { return 128; }
    static uint bits(device const uchar *block, uint lane) { return ((device const uint *)block)[lane]; }
};

struct F16 {
    static constexpr uint bytes() { return 64; }
    static uint bits(device const uchar *block, uint lane) { return bits_of_half(((device const ushort *)block)[lane]); }
};

struct BF16 {
    static constexpr uint bytes() { return 64; }
    static uint bits(device const uchar *block, uint lane) { return uint(((device const ushort *)block)[lane]) << 16; }
};

struct Q8_0 {
    static constexpr uint bytes() { return 34; }
    static uint bits(device const uchar *block, uint lane) {
        device const char *q = (device const char *)block + 2;
        return as_type<uint>(half_at(block) * float(q[lane]));
    }
};

struct Q4_0 {
    static constexpr uint bytes() { return 18; }
    static uint bits(device const uchar *block, uint lane) {
        return as_type<uint>(half_at(block) * float(int(nibble_at(block + 2, lane)) - 8));
    }
};

struct Q4_1 {
    static constexpr uint bytes() { return 20; }
    static uint bits(device const uchar *block, uint lane) {
        return as_type<uint>(half_at(block) * float(nibble_at(block + 4, lane)) + half_at(block + 2));
    }
};

#endif
