// Dequantization: the bytes of a GGUF tensor to float, one kernel a kind.
//
//   dequantize_f32   y[i] = x[i], bit for bit
//   dequantize_f16   y[i] = x[i], exact
//   dequantize_q8_0  blocks of 34 bytes: half d, 32 signed bytes q               y = d * q
//   dequantize_q4_1  blocks of 20 bytes: half d, half m, 16 bytes of two nibbles y = d * q + m; the low nibbles are the
//                    block's first 16 values, the high ones its last 16
//
//   buffer 0  raw   uchar [bytes]   read, as the file holds it
//   buffer 1  y     float [count]   written, every element
//   buffer 2  args  Args            read
//
// One SIMD-group takes 16 runs of 32 values, a lane one value of each: a SIMD-group's loads and stores lie side by side.
// Dispatch ceil(count / 512) * 32 threads. count is a multiple of 32 for the kinds with blocks. Called once a tensor, when
// a model is loaded.
//
// The results equal a separate multiplication and addition in float32 bit for bit even though fast math may fuse them:
// d has 11 significant bits and q at most 8, so d * q has at most 19, is a multiple of 2^-24 and below 2^23: exact in
// float. Thus only the addition rounds, fused or not. A result is zero or at least 2^-24, so nothing can be flushed.
//
//   pytest milestones/m1/test_dequantize.py
#include <metal_stdlib>
using namespace metal;

constexpr constant uint RUNS = 16;  // of 32 values, by one SIMD-group

struct Args {
    ulong count;  // values
};

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
    return as_type<float>(bits_of_half(*(device const ushort *)at));  // blocks are 20 or 34 bytes: always at an even address
}

kernel void dequantize_f32(device const uchar *raw [[buffer(0)]],
                           device float *y [[buffer(1)]],
                           constant Args &args [[buffer(2)]],
                           uint group [[threadgroup_position_in_grid]],
                           uint simdgroups [[simdgroups_per_threadgroup]],
                           uint simdgroup [[simdgroup_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]]) {
    const ulong first = ulong(group * simdgroups + simdgroup) * RUNS * 32;
    device const uint *in = (device const uint *)raw + first + lane;
    device uint *out = (device uint *)y + first + lane;  // as whole numbers: a float's bits might be changed on the way
    for (uint run = 0; run < RUNS; run++) {
        if (first + run * 32 + lane < args.count) out[run * 32] = in[run * 32];
    }
}

kernel void dequantize_f16(device const uchar *raw [[buffer(0)]],
                           device float *y [[buffer(1)]],
                           constant Args &args [[buffer(2)]],
                           uint group [[threadgroup_position_in_grid]],
                           uint simdgroups [[simdgroups_per_threadgroup]],
                           uint simdgroup [[simdgroup_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]]) {
    const ulong first = ulong(group * simdgroups + simdgroup) * RUNS * 32;
    device const ushort *in = (device const ushort *)raw + first + lane;
    device uint *out = (device uint *)y + first + lane;
    for (uint run = 0; run < RUNS; run++) {
        if (first + run * 32 + lane < args.count) out[run * 32] = bits_of_half(in[run * 32]);
    }
}

kernel void dequantize_q8_0(device const uchar *raw [[buffer(0)]],
                            device float *y [[buffer(1)]],
                            constant Args &args [[buffer(2)]],
                            uint group [[threadgroup_position_in_grid]],
                            uint simdgroups [[simdgroups_per_threadgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]]) {
    const ulong first = ulong(group * simdgroups + simdgroup) * RUNS;  // block
    device float *out = y + first * 32 + lane;
    for (uint run = 0; run < RUNS; run++) {
        if ((first + run) * 32 >= args.count) return;
        device const uchar *block = raw + (first + run) * 34;
        device const char *q = (device const char *)block + 2 + lane;
        out[run * 32] = half_at(block) * float(*q);
    }
}

kernel void dequantize_q4_1(device const uchar *raw [[buffer(0)]],
                            device float *y [[buffer(1)]],
                            constant Args &args [[buffer(2)]],
                            uint group [[threadgroup_position_in_grid]],
                            uint simdgroups [[simdgroups_per_threadgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]]) {
    const ulong first = ulong(group * simdgroups + simdgroup) * RUNS;  // block
    const uint shift = lane / 16 * 4;
    device float *out = y + first * 32 + lane;
    for (uint run = 0; run < RUNS; run++) {
        if ((first + run) * 32 >= args.count) return;
        device const uchar *block = raw + (first + run) * 20;
        const uint q = (block[4 + lane % 16] >> shift) & 15;
        out[run * 32] = half_at(block) * float(q) + half_at(block + 2);
    }
}
