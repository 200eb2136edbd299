// Quotients and products of floats, rounded once, to nearest, ties to even, as IEEE 754 has it. Used by quantize.metal.
//
// With fast math a compiler may divide by multiplying with a reciprocal, and fuse a product with the sum behind it: both
// change the last bit, and a last bit decides which whole number a weight becomes. So quotients and products are computed here
// on the floats' bits, in whole numbers, which nothing changes. A single sum of two floats needs no such care.
//
// A float is sign (1 bit), exponent e (8 bits), mantissa (23 bits): for 0 < e < 255 its size is (2^23 + mantissa) * 2^(e -
// 150). Neither infinities and NaNs nor results of 2^128 and above need be right; numbers below 2^-126 count as 0 of their
// sign.
#ifndef FIRSTLIGHT_EXACT_H
#define FIRSTLIGHT_EXACT_H

// Your task: quotient, product and half_of; the helpers above them are there for all three.

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

// a / b, for b of at least 2^-126. Two numbers of 24 bits have a quotient of 24 or 25; a few bits more, and one that says
// whether anything is left, are enough to round it.
inline uint quotient(uint a, uint b) { return 0; }

// a * b. Two numbers of 24 bits have a product of 47 or 48.
inline uint product(uint a, uint b) { return 0; }

// The half nearest to a float: subnormal ones too (their digits count 2^-24), infinity from 65520 on. Its exponent has 5 bits
// and counts from 15, where a float's counts from 127; its mantissa has 10 bits.
inline ushort half_of(uint bits) { return 0; }

#endif
