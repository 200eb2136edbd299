// What sample_top.metal and sample_wide.metal share: their settings, the order of logits, m3's powers and weights.
#ifndef FIRSTLIGHT_SAMPLING_H
#define FIRSTLIGHT_SAMPLING_H

struct Args {
    uint n;
    uint top_k;  // 1 … n
    float top_p;
    float min_p;
    float inverse_temperature;
    uint seed_low;
    uint seed_high;
    uint step_low;
    uint step_high;
    uint filtered;  // sample_wide: 2 if top_k or top_p cut, 1 if only min_p does
    float one;  // 1.0: fma(p, one, sum) is an addition that fast math cannot reorder
};

// An unsigned integer that grows with the float; 0 for NaN and infinities, which no finite float gives.
inline uint key_of(uint bits) {
    const uint plain = bits == 0x80000000u ? 0u : bits;  // -0 counts as +0
    const uint key = (plain & 0x80000000u) != 0 ? ~plain : plain | 0x80000000u;
    return (bits & 0x7F800000u) == 0x7F800000u ? 0u : key;
}

// The float that has this key
inline float float_of(uint key) { return as_type<float>((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key); }

inline float power_of(float z) { return exp(max(z, -128.0f)); }  // m3/softmax.metal says why

inline float weight_of(float p) { return as_type<uint>(p) < 0x00800000u ? 0.0f : p; }  // m3/sample.metal says why

// u of m3's draw times the sum of all weights
inline float wanted_of(constant Args &args, float sum) {
    const uint word = philox4x32(uint4(args.step_low, args.step_high, 0, 0), uint2(args.seed_low, args.seed_high)).x;
    return float(word >> 8) * 5.9604644775390625e-8f * sum;  // 2^-24
}

#endif
