// RMSNorm of each row, stored as halves: y[r, i] = x[r, i] / sqrt(mean_j x[r, j]^2 + eps) * weight[i], as the nearest half; what is
// larger than 65504 is infinite
//
//   buffer 0  x       float [rows, n]   read
//   buffer 1  weight  float [n]         read
//   buffer 2  y       half [rows, n]    written, every element; must not overlap the others
//   buffer 3  args    Args              read
//
// Idea: a product reads each row of x once for every tile of 32 rows of its weight, 30 times for the default model's queries, keys and
// values, 48 for gate and up each. Halves are half of those bytes. What may be a half is decided by its size: a norm's row is at most
// sqrt(n) times its largest weight, whatever the model computed before, which the host looks at when it loads them; and it is off by
// 2^-11 of itself, an eighth of what an 8-bit weight is off by. The hidden layer, whose size nothing bounds, and the residual stream, to which every block
// adds, stay floats; so do all sums.
// Prediction, portable device: nothing to gain, for a chunk's x lies in a core's cache anyway and halves must be made into floats for
// every product. On a GPU the bytes are shared by all its cores. Measured on the portable device: README.md, "Halves between kernels".
//
// One SIMD-group a row, its 32 lanes striding over the columns; dispatch rows * 32 threads. Called instead of m2's rms_norm, before the
// products of a chunk of a prompt, where the activations are to be halves.
//
//   pytest milestones/m6/test_norm_half.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint n;
    float eps;
};

kernel void norm_half(device const float *x [[buffer(0)]],
                      device const float *weight [[buffer(1)]],
                      device half *y [[buffer(2)]],
                      constant Args &args [[buffer(3)]],
                      uint group [[threadgroup_position_in_grid]],
                      uint simdgroups [[simdgroups_per_threadgroup]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]]) {
    const uint row = group * simdgroups + simdgroup;
    if (row >= args.rows) return;  // the rounded-up tail
    device const float *in = x + ulong(row) * args.n;
    device half *out = y + ulong(row) * args.n;

    float squares = 0.0f;
    for (uint i = lane; i < args.n; i += 32) squares += in[i] * in[i];
    const float scale = rsqrt(simd_sum(squares) / float(args.n) + args.eps);
    for (uint i = lane; i < args.n; i += 32) out[i] = half(in[i] * scale * weight[i]);
}
