// Quotients and products of floats, rounded once, to nearest, ties to even, as IEEE 754 has it. Used by quantize.metal.
//
// With fast math a compiler may divide by multiplying with a reciprocal, and fuse a product with the sum behind it: both
// change the last bit, and a last bit decides which whole number a weight becomes. So quotients and products are computed here
// on the floats' bits, in whole numbers, which nothing changes. A single sum of two floats is exact in this sense anyway.
//
// A float is sign (1 bit), exponent e (8 bits), mantissa (23 bits): for 0 < e < 255 its size is (2^23 + mantissa) * 2^(e -
// 150). Nothing here is right for infinities and NaNs, nor for results of 2^128 and above; numbers below 2^-126 count as 0 of
// their sign.
#ifndef FIRSTLIGHT_EXACT_H
#define FIRSTLIGHT_EXACT_H

constexpr constant uint SIGN = 0x80000000;
constexpr constant uint LEADING = 0x800000;  // the mantissa's first 1, which is not stored

inline int exponent_of(uint bits) { return int(bits >> 23 & 255); }
inline uint digits_of(uint bits) { return (bits & (LEADING - 1)) | LEADING; }

// The digits without their last `cut` bits (1 to 31), rounded.
inline uint without(ulong digits, uint cut) {
    const uint kept = uint(digits >> cut);
    const uint rest = uint(digits) & ((1u << cut) - 1), middle = 1u << (cut - 1);
    return kept + uint(rest > middle || (rest == middle && (kept & 1) != 0));
}

// The float whose digits, once `cut` bits are dropped, are 24: a carry out of them moves the exponent up, which is just right.
inline uint packed(uint sign, int exponent, ulong digits, uint cut) {
    if (exponent <= 0) return sign;
    return sign | ((uint(exponent) << 23) + without(digits, cut) - LEADING);
}

inline uint quotient(uint a, uint b) {
    const uint sign = (a ^ b) & SIGN;
    if (exponent_of(a) == 0) return sign;
    const ulong dividend = ulong(digits_of(a)) << 26;
    const uint divisor = digits_of(b);
    const ulong found = dividend / divisor;  // from 2^25 up to 2^27
    const ulong digits = found << 1 | ulong(found * divisor != dividend);  // a last bit that says: there is something left
    const bool large = digits_of(a) >= divisor;
    return packed(sign, exponent_of(a) - exponent_of(b) + (large ? 127 : 126), digits, large ? 4 : 3);
}

inline uint product(uint a, uint b) {
    const uint sign = (a ^ b) & SIGN;
    if (exponent_of(a) == 0 || exponent_of(b) == 0) return sign;
    const ulong digits = ulong(digits_of(a)) * digits_of(b);  // from 2^46 up to 2^48
    const bool large = digits >> 47 != 0;
    return packed(sign, exponent_of(a) + exponent_of(b) - (large ? 126 : 127), digits, large ? 24 : 23);
}

// The half nearest to a float: subnormal ones too; infinity from 65520 on.
inline ushort half_of(uint bits) {
    const uint sign = bits >> 16 & 0x8000, size = bits & ~SIGN;
    if (size >= 0x477FF000) return ushort(sign | 0x7C00);
    if (size < 0x33000000) return ushort(sign);  // below 2^-25
    if (size < 0x38800000) return ushort(sign | without(digits_of(size), uint(126 - exponent_of(size))));  // below 2^-14
    return ushort(sign | without(size - 0x38000000, 13));  // the exponent counts from 15, not from 127
}

#endif
