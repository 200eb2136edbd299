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
// A nibble is half a byte, 0 to 15. The low nibbles of the 16 bytes are the first 16 values, the high ones the last 16.
// Numbers of several bytes lie lowest byte first, as the device reads them. Runs lie one behind the other: at an even
// address, except that of F32 at a multiple of 4.
//
// Every kind gives its value as whole numbers, the bits of a float (as_type<uint>), because fast math may change a
// subnormal, a -0 or a NaN on its way. Every result must be right bit for bit. d * q is exact in a float, so it does not
// matter whether fast math fuses d * q + m.
//
// A half's bits: 1 sign, 5 exponent, 10 mantissa. A float's: 1 sign, 8 exponent, 23 mantissa. Their values:
//
//   exponent           half                                 float
//   0                  mantissa * 2^-24 (subnormal)         mantissa * 2^-149 (subnormal)
//   in between         (1 + mantissa / 2^10) * 2^(e - 15)   (1 + mantissa / 2^23) * 2^(e - 127)
//   all ones           infinity if mantissa is 0, else NaN  infinity if mantissa is 0, else NaN
#ifndef FIRSTLIGHT_BLOCKS_H
#define FIRSTLIGHT_BLOCKS_H

// Your task: replace every UNDONE below, one kind after the other. F32 needs none of the helpers.

constant uint UNDONE = 0xC49A5000;  // the bits of -1234.5, by which the spec knows it

// The float of a half's bits, by whole numbers: the half's subnormals, infinities and NaNs too, whatever fast math does.
inline uint bits_of_half(ushort half_bits) { return UNDONE; }

// The half at an address, as a float.
inline float half_at(device const uchar *at) { return as_type<float>(UNDONE); }

// Value `lane` (0 to 31) of the 32 in 16 bytes of nibbles.
inline uint nibble_at(device const uchar *nibbles, uint lane) { return 0; }

struct F32 {
    static constexpr uint bytes() { return 128; }
    static uint bits(device const uchar *block, uint lane) { return UNDONE; }
};

struct F16 {
    static constexpr uint bytes() { return 64; }
    static uint bits(device const uchar *block, uint lane) { return UNDONE; }
};

struct BF16 {
    static constexpr uint bytes() { return 64; }
    static uint bits(device const uchar *block, uint lane) { return UNDONE; }
};

struct Q8_0 {
    static constexpr uint bytes() { return 34; }
    static uint bits(device const uchar *block, uint lane) { return UNDONE; }
};

struct Q4_0 {
    static constexpr uint bytes() { return 18; }
    static uint bits(device const uchar *block, uint lane) { return UNDONE; }
};

struct Q4_1 {
    static constexpr uint bytes() { return 20; }
    static uint bits(device const uchar *block, uint lane) { return UNDONE; }
};

#endif
