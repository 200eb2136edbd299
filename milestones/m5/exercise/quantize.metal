// Quantization: floats to blocks of 32 that share a scale, one kernel a kind: quantize_q8_0, _q4_0, _q4_1, _q5_0, _q5_1
//
//   buffer 0  x       uint [count]                        read: the bits of finite floats
//   buffer 1  blocks  uchar [count / 32 * Kind::bytes()]  to be written, every byte, as a GGUF file holds them
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
// Dispatched with ceil(count / 512) * 32 threads: one SIMD-group for 16 blocks, a lane for one value of each. count is a
// multiple of 32. The dispatch is rounded up to whole threadgroups, of 1 SIMD-group or as many as 32, so there are SIMD-groups
// without any block, and the last one may have fewer than 16. Nothing past the last block may be read or written. Called once
// a tensor.
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

// 1 / d; 0 for a d below 2^-100.
inline uint inverse(uint d) { return 0; }

// Your task: store one block of each kind; then, in `quantize`, every block of this SIMD-group. x is the bits of this lane's
// value.

template <uint MIDDLE, bool FIVE>
struct Signed {  // Q4_0 and Q5_0; FIVE: there are 32 fifth bits before the 16 bytes
    static constexpr uint bytes() { return FIVE ? 22 : 18; }
    static void store(device uchar *block, uint x, uint lane) {}
};

template <uint STEPS, bool FIVE>
struct Unsigned {  // Q4_1 and Q5_1
    static constexpr uint bytes() { return FIVE ? 24 : 20; }
    static void store(device uchar *block, uint x, uint lane) {}
};

struct Q8_0 {
    static constexpr uint bytes() { return 34; }
    static void store(device uchar *block, uint x, uint lane) {}
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
