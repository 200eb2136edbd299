// RoPE: pair i of every head of token t is turned by the angle (start + t) * base^(-2i/d):
//     (y[a], y[b]) = (x[a] * cos - x[b] * sin,  x[a] * sin + x[b] * cos) * scale
// where (a, b) = (2i, 2i + 1), neighbours, as GGUF's Llama files have their rows; or, if args.halves is set, (i, i + d/2), as
// Hugging Face's files have them.
//
//   buffer 0  x      float [tokens, heads, d]   read
//   buffer 1  turns  ulong [d / 2]              read; by the host: base^(-2i/d) / 2π turns, as a fraction of 2^64
//   buffer 2  y      float [tokens, heads, d]   written, every element; may be x
//   buffer 3  args   Args                       read
//
// One thread a pair; dispatch tokens * heads * d/2 threads. Called on q and k of every block, before attention or the cache.
// Working in place is safe: a thread reads its own pair before it writes it, and nobody else's.
//
// Why integers: an angle grows to thousands of radians, a float32 there is spaced by 0.0005, and fast sin and cos promise
// nothing outside [-π, π]. Subtracting whole turns in floats needs an order of operations that fast math may undo. So a turn
// is 2^64 here: position * turns wraps around by itself, exactly, whatever the position, and its upper half, read as a signed
// number, is the angle from -π to π. What is left to err is one rounding to float (bound: reference/tolerance.py, "rope").
// The fast sin and cos are only good to 2^-13 even there (Metal specification, fast math); the precise ones to 4 ulp.
//
//   pytest milestones/m2/test_rope.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint pairs;            // tokens * heads * d/2: all of them
    uint pairs_per_token;  // heads * d/2
    uint pairs_per_head;   // d/2
    uint start;
    uint halves;
    float scale;  // 1, or YaRN's
};

constant float RADIANS = 1.4629180792671596e-9f;  // 2π / 2^32

kernel void rope(device const float *x [[buffer(0)]],
                 device const ulong *turns [[buffer(1)]],
                 device float *y [[buffer(2)]],
                 constant Args &args [[buffer(3)]],
                 uint pair [[thread_position_in_grid]]) {
    if (pair >= args.pairs) return;  // the rounded-up tail
    const ulong position = args.start + pair / args.pairs_per_token;
    const ulong phase = position * turns[pair % args.pairs_per_head];
    const float angle = float(as_type<int>(uint(phase >> 32))) * RADIANS;
    const float c = args.scale * precise::cos(angle), s = args.scale * precise::sin(angle);

    const ulong head = pair / args.pairs_per_head;  // over all tokens
    const ulong first = args.halves != 0 ? head * args.pairs_per_head + pair : 2 * ulong(pair);
    const ulong second = first + (args.halves != 0 ? args.pairs_per_head : 1);
    const float a = x[first], b = x[second];
    y[first] = a * c - b * s;
    y[second] = a * s + b * c;
}
