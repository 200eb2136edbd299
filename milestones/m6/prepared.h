// What one kernel of a fast step leaves for the next, whose weight has k columns: one buffer of floats,
//
//   x[k]           the vector, multiplied by the next norm's weights if a norm comes next, and for nibbles (packed.h:
//   "prepared") sums[k/32]     the sum of each block of 32 of the vector, before it is multiplied for nibbles
//   squares[k/32]  the sum of squares of each block before the norm's weights: the norm's 1/sqrt(mean) is made of these
//
// A SIMD-group makes 32 neighbouring values, one a lane: just a block. So whoever makes x prepares it, and no kernel does it
// apart. The norm's factor is the same for all of x, so it is multiplied to the product's results, not to x: (s x) . w = s (x
// . w).
#ifndef FIRSTLIGHT_PREPARED_H
#define FIRSTLIGHT_PREPARED_H

// Write block `block`, lane's value `value`, `square` its square before the norm's weights.
inline void leave(device float *next, uint k, uint block, uint lane, float value, float square, bool nibbles) {
    next[block * 32 + lane] = nibbles ? value * nibble_scale(lane) : value;
    const float sum = simd_sum(value), squares = simd_sum(square);
    if (lane == 0) {
        next[k + block] = sum;
        next[k + k / 32 + block] = squares;
    }
}

// RMSNorm's factor, of a vector of k values; the same in all lanes.
inline float norm_factor(device const float *x, uint k, float eps, uint lane) {
    device const float *squares = x + k + k / 32;
    float sum = 0.0f;
    for (uint b = lane; b < k / 32; b += 32) sum += squares[b];
    return rsqrt(simd_sum(sum) / float(k) + eps);
}

// A SIMD-group will load these 32 values soon. A GPU waits for no memory while another SIMD-group has work. A CPU's core has only
// this one, and too many instructions lie between two loads for it to see the next in time: the portable device is told of it.
template <typename T>
inline void ask_ahead(device const T *values) {
#ifdef __METAL_PORTABLE__
    for (uint i = 0; i < 32; i += 64 / sizeof(T)) portable_prefetch(values + i);
#endif
}

// One row of a tile, lane's, times the vector of 32 * blocks values. The block AHEAD blocks further on is asked for.
#define AHEAD 8
template <typename Kind>
inline float row_times(device const uint *tile, device const float *x, uint blocks, uint lane) {
    device const float *sums = x + blocks * 32;
    float total = 0.0f;
    for (uint b = 0; b < blocks; b++) {
        device const uint *block = tile + b * Kind::uints();
#ifdef __METAL_PORTABLE__
        for (uint i = 0; i < Kind::uints(); i += 16) portable_prefetch(block + AHEAD * Kind::uints() + i);
#endif
        total += Kind::dot(block, x + b * 32, sums[b], lane);
    }
    return total;
}

#endif
