// Product of a block of tokens with a packed weight: y[i, j] = sum_l x[i, l] * weight[j, l], that is y = x · weightᵀ, or y += that
//
//   buffer 0  x       X [m, k]                                 read
//   buffer 1  weight  uint [tiles, k / 32, Kind::uints]        read, packed (packed.h): tile t of it is number first + t * step
//   buffer 2  y       float [m, n]                             written, every element; with args.add read before; must not be x
//   buffer 3  args    Args                                     read
//
//   matmul_q4_0, matmul_q4_1, matmul_q8_0: one for each kind of weight, X = float; matmul_q4_0_f16, …: X = half
//
// Idea: a lane owns a row of the weight, as in matvec_q. It makes 64 of the row's values into floats, once, keeps them to itself, and then
// meets all its tokens with them, two at a time: their x is the same for all lanes, so an element is loaded once for 32 products, and a
// loaded weight serves twice. So per 32 products there is half a load of a weight and one of x, and no mask or conversion; these are
// paid once for args.tokens tokens. Nothing is summed across lanes, no lane waits for another, and a store is 32 neighbours.
// Prediction, portable device (256-bit vectors, 2 multiply-adds and 2 loads a cycle, 16 vector registers): 8 multiply-adds, 4 loads of
// weights, 2 of x for two tokens: 4 cycles, bound by the multiply-adds. Three tokens would need 17 registers and spill.
// Measured there: README.md, "Prefill". Two tokens: as torch's float product. Straight from the nibbles, as in matvec_q, without
// floats in between: five sixths of it; three tokens in that shape: two thirds of two.
//
// One SIMD-group a (tile, args.tokens tokens), tiles first, so that neighbours share x; dispatch ceil(m / tokens) * ceil(n / 32) * 32.
//
//   pytest milestones/m6/test_matmul_q.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"

struct Args {
    uint m;
    uint n;
    uint blocks;  // k / 32
    uint first;
    uint step;
    uint tokens;
    uint add;
};

constexpr constant uint HELD = 2;  // blocks of 32 values that a lane holds as floats

// The 32 values of lane's row in one block of a tile, as floats: d * q + least.
inline void nibbles_of(device const uint *words, float d, float least, thread float *w, uint lane) {
    for (uint i = 0; i < 4; i++) {
        const uint word = (words + 32 * i)[lane];
        for (uint t = 0; t < 4; t++) {
            w[4 * i + t] = d * float(int((word >> (8 * t)) & 15u)) + least;
            w[16 + 4 * i + t] = d * float(int((word >> (8 * t + 4)) & 15u)) + least;
        }
    }
}

inline void values_of(PackedQ4_1, device const uint *block, thread float *w, uint lane) {
    device const half *d = (device const half *)block, *least = d + 32;
    nibbles_of(block + 32, float(d[lane]), float(least[lane]), w, lane);
}

inline void values_of(PackedQ4_0, device const uint *block, thread float *w, uint lane) {
    const float d = float(((device const half *)block)[lane]);
    nibbles_of(block + 16, d, -8.0f * d, w, lane);
}

inline void values_of(PackedQ8_0, device const uint *block, thread float *w, uint lane) {
    const float d = float(((device const half *)block)[lane]);
    for (uint i = 0; i < 8; i++) {
        const int word = int((block + 16 + 32 * i)[lane]);
        for (uint t = 0; t < 4; t++) w[4 * i + t] = d * float((word << (24 - 8 * t)) >> 24);
    }
}

// One token's result goes to where it belongs, or is added to what is there.
inline void give(device float *at, float sum, bool keep, uint lane) { at[lane] = keep ? at[lane] + sum : sum; }

// Tokens from … end - 1 with one tile of the weight. Whole: all its 32 rows are there, so that no lane is masked.
template <typename Kind, typename X, bool Whole>
inline void tile_times(device const X *x,
                       device const uint *rows,
                       device float *y,  // of the tile's first row
                       uint from,
                       uint end,
                       constant Args &args,
                       uint left,  // rows of the weight from this tile on
                       uint lane) {
    const uint blocks = args.blocks, k = blocks * 32, n = args.n;
    float w[HELD * 32];
    for (uint b = 0; b < blocks; b += HELD) {
        const uint held = min(HELD, blocks - b), values = held * 32;
        for (uint h = 0; h < held; h++) values_of(Kind(), rows + (b + h) * Kind::uints(), w + h * 32, lane);
        const bool keep = b != 0 || args.add != 0;  // what y holds already counts
        for (uint i = from; i < end; i += 2) {
            const uint other = min(i + 1, end - 1);  // past the last token: the last again, its sum not stored
            device const X *p = x + ulong(i) * k + b * 32, *q = x + ulong(other) * k + b * 32;
            float s = 0.0f, t = 0.0f;
            for (uint l = 0; l < values; l += 16, p += 16, q += 16)
                for (uint e = 0; e < 16; e++) {
                    s += w[l + e] * float(p[e]);
                    t += w[l + e] * float(q[e]);
                }
            if (Whole || lane < left) {
                give(y + ulong(i) * n, s, keep, lane);
                if (other != i) give(y + ulong(other) * n, t, keep, lane);
            }
        }
    }
}

template <typename Kind, typename X>
kernel void matmul_q(device const X *x [[buffer(0)]],
                     device const uint *weight [[buffer(1)]],
                     device float *y [[buffer(2)]],
                     constant Args &args [[buffer(3)]],
                     uint group [[threadgroup_position_in_grid]],
                     uint simdgroups [[simdgroups_per_threadgroup]],
                     uint simdgroup [[simdgroup_index_in_threadgroup]],
                     uint lane [[thread_index_in_simdgroup]]) {
    const uint index = group * simdgroups + simdgroup, tiles = (args.n + 31) / 32;
    const uint tile = index % tiles, from = index / tiles * args.tokens;
    if (from >= args.m) return;  // the rounded-up tail
    const uint end = min(from + args.tokens, args.m), left = args.n - tile * 32;
    device const uint *rows = weight + ulong(args.first + tile * args.step) * args.blocks * Kind::uints();
    device float *out = y + tile * 32;
    if (left >= 32) tile_times<Kind, X, true>(x, rows, out, from, end, args, left, lane);
    else tile_times<Kind, X, false>(x, rows, out, from, end, args, left, lane);
}

#define MATMUL(name, Kind, X)                                                                                             \
    template [[host_name(name)]] kernel void matmul_q<Kind, X>(device const X *, device const uint *, device float *,     \
                                                               constant Args &, uint, uint, uint, uint);
MATMUL("matmul_q4_0", PackedQ4_0, float)
MATMUL("matmul_q4_1", PackedQ4_1, float)
MATMUL("matmul_q8_0", PackedQ8_0, float)
MATMUL("matmul_q4_0_f16", PackedQ4_0, half)
MATMUL("matmul_q4_1_f16", PackedQ4_1, half)
MATMUL("matmul_q8_0_f16", PackedQ8_0, half)
