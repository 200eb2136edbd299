// RoPE: pair i of every head of token t is turned by the angle (start + t) * base^(-2i/d):
//     (y[a], y[b]) = (x[a] * cos - x[b] * sin,  x[a] * sin + x[b] * cos) * scale
// where (a, b) = (2i, 2i + 1), neighbours, as GGUF's Llama files have their rows; or, if args.halves is set, (i, i + d/2), as
// Hugging Face's files have them. a and b count from the head's first element.
//
//   buffer 0  x      float [tokens, heads, d]   read
//   buffer 1  turns  ulong [d / 2]              read; by the host: base^(-2i/d) / 2π turns, as a fraction of 2^64
//   buffer 2  y      float [tokens, heads, d]   to be written, every element; may be x
//   buffer 3  args   Args                       read
//
// Dispatched with tokens * heads * d/2 threads: one a pair, first all pairs of token 0's head 0, then those of its head 1, …,
// then token 1's. The dispatch is rounded up to whole threadgroups: threads past args.pairs run too, and must read and write
// nothing. Called on q and k of every block, before attention or the cache.
//
// The angle in whole numbers: a turn is 2^64. position * turns[i], in 64 bits, wraps around at whole turns by itself, so it is
// the angle of pair i at any position, exactly. Its upper 32 bits, read as a *signed* number (as_type<int>), are the angle from
// -π to π in steps of 2π / 2^32: RADIANS. A float angle would be off by 0.0005 radians at position 8191, and the spec allows
// far less. The plain sin and cos of fast math are too rough here, too: use precise::sin and precise::cos.
//
//   pytest -x milestones/m2/test_rope.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint pairs;            // tokens * heads * d/2: all of them
    uint pairs_per_token;  // heads * d/2
    uint pairs_per_head;   // d/2
    uint start;            // the position of token 0
    uint halves;           // 0: neighbours are pairs; else element i of a head's first half goes with element i of its second
    float scale;           // 1, but for models made for longer texts by YaRN
};

constant float RADIANS = 1.4629180792671596e-9f;  // 2π / 2^32

kernel void rope(device const float *x [[buffer(0)]],
                 device const ulong *turns [[buffer(1)]],
                 device float *y [[buffer(2)]],
                 constant Args &args [[buffer(3)]],
                 uint pair [[thread_position_in_grid]]) {
    // Your task: find the position and the two elements of this pair, and write them turned.
}
