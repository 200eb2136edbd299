// Quantization: floats to blocks of 32 that share a scale, one kernel a kind: quantize_q8_0, _q4_0, _q4_1, _q5_0, _q5_1
//
//   buffer 0  x       uint [count]                        read: the bits of finite floats
//   buffer 1  blocks  uchar [count / 32 * Kind::bytes()]  written, every byte, as a GGUF file holds them
//   buffer 2  args    Args                                read
//
//   Q8_0  34 bytes: half d, 32 signed bytes q            d = max|x| / 127        q = x / d, rounded, halves away from zero
//   Q4_0  18 bytes: half d, 16 bytes of two q            d = e / -8              q = floor(x / d + 8.5), at most 15
//   Q5_0  22 bytes: half d, 32 bits, 16 bytes of two q   d = e / -16             q = floor(x / d + 16.5), at most 31
//   Q4_1  20 bytes: half d, half m, 16 bytes             d = (max - m) / 15      q = floor((x - m) / d + 0.5), at most 15
//   Q5_1  24 bytes: half d, half m, 32 bits, 16 bytes    d = (max - m) / 31      q = floor((x - m) / d + 0.5), at most 31
//
// e is the first x with the largest |x|, m the smallest x (of zeros of both signs, -0). Byte i holds the low 4 bits of numbers
// i and i + 16, bit i of the 32 is bit 4 of number i. "x / d" is x times 1 / d, each rounded once, as in float32 without fast
// math: see exact.h. Sums stay sums: one of two floats rounds once, and what whole numbers made cannot be fused with it. A d
// below 2^-100 counts as 0, and x / 0 as 0. Largest and smallest are found among whole numbers that sort as the floats do.
//
// One SIMD-group takes 16 blocks, a lane one value of each. count is a multiple of 32; dispatch ceil(count / 512) * 32 threads.
// Called once a tensor by `firstlight quantize`.
//
//   pytest milestones/m5/test_quantize.py
#include <metal_stdlib>
using namespace metal;

#include "exact.h"

constexpr constant uint BLOCKS = 16;  // by one SIMD-group
constexpr constant uint ONE = 0x3F800000;
constexpr constant uint SMALLEST = uint(127 - 100) << 23;  // 2^-100

struct Args {
    ulong count;  // values
};

inline uint inverse(uint d) { return (d & ~SIGN) < SMALLEST ? 0 : quotient(ONE, d); }

// Whole numbers in the order of the floats, and back.
inline uint rank_of(uint bits) { return bits & SIGN ? ~bits : bits | SIGN; }
inline uint bits_of_rank(uint rank) { return rank & SIGN ? rank & ~SIGN : ~rank; }

inline void store_half(device uchar *at, uint bits) { *(device ushort *)at = half_of(bits); }  // blocks have an even size

// Numbers below 32 of all lanes, to 16 bytes, and their fifth bits before those if there are five.
inline void store_numbers(device uchar *at, uint q, uint lane, bool five) {
    if (five) {
        const uint fifths = simd_or((q >> 4) << lane);
        if (lane < 4) at[lane] = uchar(fifths >> 8 * lane);
        at += 4;
    }
    const uint other = simd_shuffle_xor(q, 16);
    if (lane < 16) at[lane] = uchar((q & 15) | (other & 15) << 4);
}

template <uint MIDDLE, bool FIVE>
struct Signed {
    static constexpr uint bytes() { return FIVE ? 22 : 18; }
    static void store(device uchar *block, uint x, uint lane) {
        const uint size = x & ~SIGN, largest = simd_max(size);
        const uint first = simd_min(size == largest ? lane : 32);
        const uint extreme = simd_shuffle(x, ushort(first));
        const uint d = product(extreme, as_type<uint>(-1.0f / float(MIDDLE)));  // a power of two: exact
        const float shifted = as_type<float>(product(x, inverse(d))) + (float(MIDDLE) + 0.5f);
        if (lane == 0) store_half(block, d);
        store_numbers(block + 2, min(uint(shifted), 2 * MIDDLE - 1), lane, FIVE);
    }
};

template <uint STEPS, bool FIVE>
struct Unsigned {
    static constexpr uint bytes() { return FIVE ? 24 : 20; }
    static void store(device uchar *block, uint x, uint lane) {
        const uint least = bits_of_rank(simd_min(rank_of(x))), most = bits_of_rank(simd_max(rank_of(x)));
        const float m = as_type<float>(least);
        const uint d = quotient(as_type<uint>(as_type<float>(most) - m), as_type<uint>(float(STEPS)));
        const float shifted = as_type<float>(product(as_type<uint>(as_type<float>(x) - m), inverse(d))) + 0.5f;
        if (lane == 0) store_half(block, d);
        if (lane == 1) store_half(block + 2, least);
        store_numbers(block + 4, min(uint(shifted), STEPS), lane, FIVE);
    }
};

struct Q8_0 {
    static constexpr uint bytes() { return 34; }
    static void store(device uchar *block, uint x, uint lane) {
        const uint d = quotient(simd_max(x & ~SIGN), as_type<uint>(127.0f));
        const float size = as_type<float>(product(x & ~SIGN, inverse(d)));
        const uint whole = uint(size), q = whole + uint(size - float(whole) >= 0.5f);
        if (lane == 0) store_half(block, d);
        block[2 + lane] = uchar(x & SIGN ? 256 - q : q);
    }
};

using Q4_0 = Signed<8, false>;
using Q5_0 = Signed<16, true>;
using Q4_1 = Unsigned<15, false>;
using Q5_1 = Unsigned<31, true>;

template <typename Kind>
kernel void quantize(device const uint *x [[buffer(0)]],
                     device uchar *blocks [[buffer(1)]],
                     constant Args &args [[buffer(2)]],
                     uint group [[threadgroup_position_in_grid]],
                     uint simdgroups [[simdgroups_per_threadgroup]],
                     uint simdgroup [[simdgroup_index_in_threadgroup]],
                     uint lane [[thread_index_in_simdgroup]]) {
    const ulong first = ulong(group * simdgroups + simdgroup) * BLOCKS;
    const ulong end = min(first + BLOCKS, args.count / 32);
    for (ulong block = first; block < end; block++) {  // the same blocks for all lanes
        Kind::store(blocks + block * Kind::bytes(), x[block * 32 + lane], lane);
    }
}

template [[host_name("quantize_q8_0")]] kernel void quantize<Q8_0>(device const uint *, device uchar *, constant Args &, uint,
                                                                   uint, uint, uint);
template [[host_name("quantize_q4_0")]] kernel void quantize<Q4_0>(device const uint *, device uchar *, constant Args &, uint,
                                                                   uint, uint, uint);
template [[host_name("quantize_q4_1")]] kernel void quantize<Q4_1>(device const uint *, device uchar *, constant Args &, uint,
                                                                   uint, uint, uint);
template [[host_name("quantize_q5_0")]] kernel void quantize<Q5_0>(device const uint *, device uchar *, constant Args &, uint,
                                                                   uint, uint, uint);
template [[host_name("quantize_q5_1")]] kernel void quantize<Q5_1>(device const uint *, device uchar *, constant Args &, uint,
                                                                   uint, uint, uint);
