// matmul_q on a GPU's matrix unit: y[i, j] = sum_l x[i, l] * weight[j, l], that is y = x · weightᵀ, or y += that
//
//   buffer 0  x       X [m, k]                                 read
//   buffer 1  weight  uint [tiles, k / 32, Kind::uints]        read, packed (packed.h): tile t of it is number first + t * step
//   buffer 2  y       float [m, n]                             written, every element; with args.add read before; must not be x
//   buffer 3  args    Args                                     read
//
//   matmul_q_matrix_q4_0, matmul_q_matrix_q4_1, matmul_q_matrix_q8_0: one for each kind of weight, X = float; …_q4_0_f16, …: X = half
//
// Idea: an Apple GPU multiplies 8 x 8 matrices that a SIMD-group holds together, in one instruction where lanes would need some hundred.
// A threadgroup takes one tile of the weight, 32 rows, and 32 tokens for each of its SIMD-groups. A block of the tile, 32 values of
// each row, is unpacked into threadgroup memory by all of them, once: 4 KiB. Then each multiplies it with its own tokens, as 8 x 8
// pieces: 4 of tokens by 4 of rows stay in registers (so loops over them are unrolled), so that a piece that is loaded serves four products. Sums are floats throughout.
// Prediction, portable device: emulated, a product of pieces is a dozen shuffles. Measured there: README.md, "Prefill". Not yet
// measured on an Apple GPU.
//
// Tokens past the last count as zeros, rows past the last are computed and not stored: what does not fill a piece goes through 64 floats
// of the SIMD-group's own, so the matrix functions, which know no bounds, never reach outside.
// Threadgroups stride over (32 tokens a SIMD-group, tile), tiles first, so that neighbours share x. Dispatch ceil(m / 32) * ceil(n /
// 32) * 32 threads. Called instead of matmul_q where tuning.py says so. 12 KiB of threadgroup memory at any width.
//
//   pytest milestones/m6/test_matmul_q_matrix.py
#include <metal_stdlib>
using namespace metal;

#include "../m5/packed.h"

struct Args {
    uint m;
    uint n;
    uint blocks;  // k / 32
    uint first;
    uint step;
    uint add;
};

constexpr constant uint PIECES = 4;  // of 8: tokens of a SIMD-group, rows of a tile, values of a block

// How many words of codes each row has in a block, and word w of lane's row made into values: value l of all rows is tile[l].
inline uint words_of(PackedQ4_1) { return 4; }
inline uint words_of(PackedQ4_0) { return 4; }
inline uint words_of(PackedQ8_0) { return 8; }

inline void unpack_nibbles(uint word, float d, float least, uint w, threadgroup float *tile, uint lane) {
    for (uint t = 0; t < 4; t++) {
        (tile + (4 * w + t) * 32)[lane] = d * float((word >> (8 * t)) & 15u) + least;
        (tile + (16 + 4 * w + t) * 32)[lane] = d * float((word >> (8 * t + 4)) & 15u) + least;
    }
}

inline void unpack(PackedQ4_1, device const uint *block, uint w, threadgroup float *tile, uint lane) {
    device const half *d = (device const half *)block, *least = d + 32;
    unpack_nibbles((block + 32 + 32 * w)[lane], float(d[lane]), float(least[lane]), w, tile, lane);
}

inline void unpack(PackedQ4_0, device const uint *block, uint w, threadgroup float *tile, uint lane) {
    const float d = float(((device const half *)block)[lane]);
    unpack_nibbles((block + 16 + 32 * w)[lane], d, -8.0f * d, w, tile, lane);
}

inline void unpack(PackedQ8_0, device const uint *block, uint w, threadgroup float *tile, uint lane) {
    const float d = float(((device const half *)block)[lane]);
    const int word = int((block + 16 + 32 * w)[lane]);
    for (uint t = 0; t < 4; t++) (tile + (4 * w + t) * 32)[lane] = d * float((word << (24 - 8 * t)) >> 24);
}

// 8 values of 8 tokens, of which only `there` are there. own: 64 floats of the SIMD-group.
template <typename X>
inline void load_some(thread simdgroup_matrix<X, 8, 8> &piece, device const X *x, uint k, uint there, threadgroup X *own, uint lane) {
    if (there >= 8) {
        simdgroup_load(piece, x, k);
        return;
    }
    for (uint e = lane; e < 64; e += 32) own[e] = e / 8 < there ? x[ulong(e / 8) * k + e % 8] : X(0.0f);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_load(piece, own);
    simdgroup_barrier(mem_flags::mem_threadgroup);
}

// Results of 8 tokens and 8 rows go to where they belong, or are added to what is there: those of `tokens` and of `rows` that are there.
inline void give_some(simdgroup_float8x8 piece, device float *y, uint n, uint tokens, uint rows, bool add, threadgroup float *own, uint lane) {
    simdgroup_store(piece, own);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint e = lane; e < 64; e += 32) {
        const uint i = e / 8, j = e % 8;
        device float *at = y + ulong(i) * n + j;
        if (i < tokens && j < rows) *at = add ? *at + own[e] : own[e];
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
}

template <typename Kind, typename X>
kernel void matmul_q_matrix(device const X *x [[buffer(0)]],
                            device const uint *weight [[buffer(1)]],
                            device float *y [[buffer(2)]],
                            constant Args &args [[buffer(3)]],
                            uint group [[threadgroup_position_in_grid]],
                            uint groups [[threadgroups_per_grid]],
                            uint simdgroups [[simdgroups_per_threadgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float tile[32 * 32], shared[32 * 64];
    threadgroup float *own = shared + simdgroup * 64;
    const uint m = args.m, n = args.n, k = args.blocks * 32, tiles = (n + 31) / 32, together = 32 * simdgroups;
    for (uint work = group; work < (m + together - 1) / together * tiles; work += groups) {
        const uint first = work % tiles * 32, from = work / tiles * together + simdgroup * 32;
        const uint tokens = from < m ? m - from : 0;  // from here on; may be none, and the SIMD-group then only unpacks
        device const uint *rows = weight + ulong(args.first + work % tiles * args.step) * args.blocks * Kind::uints();
        simdgroup_float8x8 sums[PIECES][PIECES];
#pragma unroll
        for (uint i = 0; i < PIECES; i++)
#pragma unroll
            for (uint j = 0; j < PIECES; j++) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);

        for (uint b = 0; b < args.blocks; b++) {
            threadgroup_barrier(mem_flags::mem_threadgroup);  // the block before has been multiplied
            for (uint w = simdgroup; w < words_of(Kind()); w += simdgroups) unpack(Kind(), rows + b * Kind::uints(), w, tile, lane);
            threadgroup_barrier(mem_flags::mem_threadgroup);
            for (uint l = 0; l < PIECES; l++) {
                simdgroup_float8x8 values[PIECES];
#pragma unroll
                for (uint j = 0; j < PIECES; j++) simdgroup_load(values[j], tile + 8 * l * 32 + 8 * j, 32);
#pragma unroll
                for (uint i = 0; i < PIECES; i++) {
                    if (8 * i >= tokens) break;
                    simdgroup_matrix<X, 8, 8> piece;
                    load_some(piece, x + ulong(from + 8 * i) * k + b * 32 + 8 * l, k, tokens - 8 * i, (threadgroup X *)own, lane);
#pragma unroll
                    for (uint j = 0; j < PIECES; j++) simdgroup_multiply_accumulate(sums[i][j], piece, values[j], sums[i][j]);
                }
            }
        }
#pragma unroll
        for (uint i = 0; i < PIECES; i++)
#pragma unroll
            for (uint j = 0; j < PIECES; j++)
                if (8 * i < tokens && first + 8 * j < n)
                    give_some(sums[i][j], y + ulong(from + 8 * i) * n + first + 8 * j, n, tokens - 8 * i, n - first - 8 * j,
                              args.add != 0, own, lane);
    }
}

#define MATMUL(name, Kind, X)                                                                                                \
    template [[host_name(name)]] kernel void matmul_q_matrix<Kind, X>(device const X *, device const uint *, device float *, \
                                                                      constant Args &, uint, uint, uint, uint, uint);
MATMUL("matmul_q_matrix_q4_0", PackedQ4_0, float)
MATMUL("matmul_q_matrix_q4_1", PackedQ4_1, float)
MATMUL("matmul_q_matrix_q8_0", PackedQ8_0, float)
MATMUL("matmul_q_matrix_q4_0_f16", PackedQ4_0, half)
MATMUL("matmul_q_matrix_q4_1_f16", PackedQ4_1, half)
MATMUL("matmul_q_matrix_q8_0_f16", PackedQ8_0, half)
