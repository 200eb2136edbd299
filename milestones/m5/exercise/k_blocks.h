// How a file holds values of the kinds that m1's blocks.h leaves out, and the bits of the float that value `lane` (0 to 31) of
// run `run` of a block is. A run is 32 values; Q5_0 and Q5_1 have blocks of one run, the K kinds of eight. Used by
// dequantize_k.metal.
//
//   Q5_0  22 bytes: half d, 32 bits, 16 bytes of two nibbles           d * (q - 16)
//   Q5_1  24 bytes: half d, half m, 32 bits, 16 bytes of two nibbles   d * q + m
//   Q4_K  144 bytes: half d, half m, 12 bytes, 128 bytes               d * s * q - m * t
//   Q5_K  176 bytes: half d, half m, 12 bytes, 32 bytes, 128 bytes     d * s * q - m * t
//   Q6_K  210 bytes: 128 bytes, 64 bytes, 16 bytes s, half d           d * s * (q - 32)
//
// s and t are whole numbers of a run's own: eight of each, 6 bits wide, in the 12 bytes; Q6_K has a signed byte s for each 16
// values. Runs 2 i and 2 i + 1 lie in the low and the high nibbles of the same 32 bytes; in Q6_K, runs 0, 1 and 2, 3 of every
// four do.
//
// The 12 bytes: bytes 0-3 have s of runs 0-3 in their low 6 bits, and above them the upper 2 bits of s of runs 4-7; bytes 4-7
// have t likewise; bytes 8-11 have the lower 4 bits of runs 4-7, s in the low nibble, t in the high one. Q5_K: bit r of byte i
// of the 32 is bit 4 of value i of run r. Q6_K: of each 128 values, byte i of 64 holds the low 4 bits of values i and i + 64;
// byte i of 32 holds the upper 2 bits of values i, i + 32, i + 64, i + 96.
//
// No product rounds: d has 11 significant bits, s at most 8 of which 128 has one, q at most 6, so d * s * q has at most 24.
// Only the addition rounds, fused or not, in whatever order: fast math cannot change the bits. (See m1's blocks.h, whose
// helpers these use.)
#ifndef FIRSTLIGHT_K_BLOCKS_H
#define FIRSTLIGHT_K_BLOCKS_H

#include "../m1/blocks.h"

// Your task: replace every UNDONE below, one kind after the other. half_at and nibble_at are m1's.

constant uint UNDONE = 0xC49A5000;  // the bits of -1234.5, by which the spec knows it

struct Q5_0 {
    static constexpr uint bytes() { return 22; }
    static constexpr uint runs() { return 1; }
    static uint bits(device const uchar *block, uint run, uint lane) { return UNDONE; }
};

struct Q5_1 {
    static constexpr uint bytes() { return 24; }
    static constexpr uint runs() { return 1; }
    static uint bits(device const uchar *block, uint run, uint lane) { return UNDONE; }
};

struct Q4_K {
    static constexpr uint bytes() { return 144; }
    static constexpr uint runs() { return 8; }
    static uint bits(device const uchar *block, uint run, uint lane) { return UNDONE; }
};

struct Q5_K {
    static constexpr uint bytes() { return 176; }
    static constexpr uint runs() { return 8; }
    static uint bits(device const uchar *block, uint run, uint lane) { return UNDONE; }
};

struct Q6_K {
    static constexpr uint bytes() { return 210; }
    static constexpr uint runs() { return 8; }
    static uint bits(device const uchar *block, uint run, uint lane) { return UNDONE; }
};

#endif
