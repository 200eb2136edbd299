// Weights as the fast kernels read them, and the product of one block with x. Used by matvec_q.metal and by m6.
//
// A packed tensor is made of tiles: 32 rows of the weight, block by block. A block of a tile holds the 32 rows' blocks,
// sorted by what they are made of, so that lane l, which has row l, and its neighbours always load what lies side by side:
//
//   Q4_1  640 bytes: half d[32], half m[32], uint nibbles[4][32]     row l is d[l] * q + m[l]
//   Q4_0  576 bytes: half d[32], uint nibbles[4][32]                 row l is d[l] * (q - 8)
//   Q8_0  1088 bytes: half d[32], uint bytes[8][32]                  row l is d[l] * q
//
// Word w of a row's nibbles is bytes 4w … 4w + 3 of the file's block: byte t has value 4w + t in its low nibble and 16 + 4w +
// t in its high one. Word w of its bytes is values 4w … 4w + 3. So packing moves halves and words, and changes none
// (repack.metal).
//
// A nibble is not shifted down to the bottom of its word: the word is masked, and what is left, q * 16^n for the n-th nibble,
// becomes a float, exactly. x is prepared for that (prepare.metal): x[j] is multiplied beforehand by 16^-n, a power of two,
// so exactly too. Only the last nibble is shifted: in place it would be the sign. In the same way a byte is read at the top
// of its word, as q * 2^24 with its sign. This saves an operation for each weight, of four.
#ifndef FIRSTLIGHT_PACKED_H
#define FIRSTLIGHT_PACKED_H

// What value j of a block is multiplied by beforehand, for the kinds of nibbles.
inline float nibble_scale(uint j) {
    const uint n = 2 * (j & 3u) + (j >> 4);
    return n == 7 ? 1.0f : as_type<float>((127u - 4 * n) << 23);
}

// sum_j q[j] * x[j] over one row's 32 values; x is prepared.
inline float dot_nibbles(device const uint *words, device const float *x, uint lane) {
    float sum = 0.0f;
    for (uint w = 0; w < 4; w++) {
        const uint word = (words + 32 * w)[lane];
        device const float *low = x + 4 * w, *high = x + 16 + 4 * w;
        sum += float(int(word & 0xFu)) * low[0];
        sum += float(int(word & 0xF0u)) * high[0];
        sum += float(int(word & 0xF00u)) * low[1];
        sum += float(int(word & 0xF000u)) * high[1];
        sum += float(int(word & 0xF0000u)) * low[2];
        sum += float(int(word & 0xF00000u)) * high[2];
        sum += float(int(word & 0xF000000u)) * low[3];
        sum += float(int(word >> 28)) * high[3];
    }
    return sum;
}

// The n-th nibble of a row's 32, as the file counts values.
inline float nibble_of(device const uint *words, uint row, uint j) {
    return float((words[(j & 15u) / 4 * 32 + row] >> (8 * (j & 3u) + 4 * (j >> 4))) & 15u);
}

// Each kind: `uints` in a block of a tile; `nibbles`, whether x is to be prepared for them; `dot`, the product of lane's row
// with x, whose sum over the block is `sum`; `value`, number j of row `row`.
struct PackedQ4_1 {
    static constexpr uint uints() { return 160; }
    static constexpr bool nibbles() { return true; }
    static float dot(device const uint *block, device const float *x, float sum, uint lane) {
        device const half *d = (device const half *)block, *m = d + 32;
        return float(d[lane]) * dot_nibbles(block + 32, x, lane) + float(m[lane]) * sum;
    }
    static float value(device const uint *block, uint row, uint j) {
        device const half *d = (device const half *)block, *m = d + 32;
        return float(d[row]) * nibble_of(block + 32, row, j) + float(m[row]);
    }
};

struct PackedQ4_0 {
    static constexpr uint uints() { return 144; }
    static constexpr bool nibbles() { return true; }
    static float dot(device const uint *block, device const float *x, float sum, uint lane) {
        return float(((device const half *)block)[lane]) * (dot_nibbles(block + 16, x, lane) - 8.0f * sum);
    }
    static float value(device const uint *block, uint row, uint j) {
        return float(((device const half *)block)[row]) * (nibble_of(block + 16, row, j) - 8.0f);
    }
};

struct PackedQ8_0 {
    static constexpr uint uints() { return 272; }
    static constexpr bool nibbles() { return false; }
    static float dot(device const uint *block, device const float *x, float sum, uint lane) {
        float total = 0.0f;
        for (uint w = 0; w < 8; w++) {
            const uint word = (block + 16 + 32 * w)[lane];
            total += float(int(word << 24)) * x[4 * w];
            total += float(int((word << 16) & 0xFF000000u)) * x[4 * w + 1];
            total += float(int((word << 8) & 0xFF000000u)) * x[4 * w + 2];
            total += float(int(word & 0xFF000000u)) * x[4 * w + 3];
        }
        return float(((device const half *)block)[lane]) * (total * 5.9604644775390625e-8f);  // 2^-24
    }
    static float value(device const uint *block, uint row, uint j) {
        const int word = int(block[16 + j / 4 * 32 + row] << (24 - 8 * (j & 3u)));
        return float(((device const half *)block)[row]) * float(word >> 24);
    }
};

#endif
