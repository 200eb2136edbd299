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
// No product rounds: d has 11 significant bits, s at most 8 of which 128 has one, q at most 6, so d * s * q has at most 24.
// Only the addition rounds, fused or not, in whatever order: fast math cannot change the bits. (See m1's blocks.h, whose
// helpers these use.)
#ifndef FIRSTLIGHT_K_BLOCKS_H
#define FIRSTLIGHT_K_BLOCKS_H

#include "../m1/blocks.h"

inline uint bit_of(device const uchar *bytes, uint i) { return (bytes[i / 8] >> (i % 8)) & 1; }

struct Q5_0 {
    static constexpr uint bytes() { return 22; }
    static constexpr uint runs() { return 1; }
    static uint bits(device const uchar *block, uint, uint lane) {
        const uint q = nibble_at(block + 6, lane) | bit_of(block + 2, lane) << 4;
        return as_type<uint>(half_at(block) * float(int(q) - 16));
    }
};

struct Q5_1 {
    static constexpr uint bytes() { return 24; }
    static constexpr uint runs() { return 1; }
    static uint bits(device const uchar *block, uint, uint lane) {
        const uint q = nibble_at(block + 8, lane) | bit_of(block + 4, lane) << 4;
        return as_type<uint>(half_at(block) * float(q) + half_at(block + 2));
    }
};

// The run's s of Q4_K and Q5_K; their t is the same with `packed` 4 bytes later and the last four bytes' high nibbles.
//   bytes 0-3   s of runs 0-3 in the low 6 bits, above them the upper 2 bits of runs 4-7
//   bytes 4-7   t likewise
//   bytes 8-11  the lower 4 bits of runs 4-7: s in the low nibble, t in the high one
inline uint six_bits(device const uchar *packed, uint run, uint nibble) {
    device const uchar *own = packed + 4 * nibble;
    if (run < 4) return own[run] & 63;
    return ((packed[4 + run] >> 4 * nibble) & 15) | (own[run - 4] >> 6) << 4;
}

inline uint scaled_with_minimum(device const uchar *block, uint run, uint q) {
    const float scale = half_at(block) * float(six_bits(block + 4, run, 0));
    const float least = half_at(block + 2) * float(six_bits(block + 4, run, 1));
    return as_type<uint>(scale * float(q) - least);
}

inline uint nibble_of_run(device const uchar *nibbles, uint run, uint lane) {
    return (nibbles[run / 2 * 32 + lane] >> (run % 2 * 4)) & 15;
}

struct Q4_K {
    static constexpr uint bytes() { return 144; }
    static constexpr uint runs() { return 8; }
    static uint bits(device const uchar *block, uint run, uint lane) {
        return scaled_with_minimum(block, run, nibble_of_run(block + 16, run, lane));
    }
};

struct Q5_K {
    static constexpr uint bytes() { return 176; }
    static constexpr uint runs() { return 8; }
    static uint bits(device const uchar *block, uint run, uint lane) {
        const uint fifth = (block[16 + lane] >> run) & 1;
        return scaled_with_minimum(block, run, nibble_of_run(block + 48, run, lane) | fifth << 4);
    }
};

struct Q6_K {
    static constexpr uint bytes() { return 210; }
    static constexpr uint runs() { return 8; }
    static uint bits(device const uchar *block, uint run, uint lane) {
        const uint half_block = run / 4, quarter = run % 4;  // of 128 values, and of the runs in it
        const uint low = (block[half_block * 64 + quarter % 2 * 32 + lane] >> (quarter / 2 * 4)) & 15;
        const uint upper = (block[128 + half_block * 32 + lane] >> (quarter * 2)) & 3;
        device const char *scales = (device const char *)block + 192;
        const float scale = half_at(block + 208) * float(scales[run * 2 + lane / 16]);
        return as_type<uint>(scale * float(int(low | upper << 4) - 32));
    }
};

#endif
