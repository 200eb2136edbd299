// Token ids back to bytes: out[offsets[i] … offsets[i + 1]) = the bytes of token ids[i]
//
//   buffer 0  ids            uint [count]       read
//   buffer 1  offsets        uint [count + 1]   read: where each token's bytes go, a token's length apart
//   buffer 2  token_bytes    uchar [any]        read: every token's bytes, one after the other
//   buffer 3  token_offsets  uint [tokens + 1]  read: token t is token_bytes[token_offsets[t] … token_offsets[t + 1])
//   buffer 4  out            uchar [bytes]      written, every element from offsets[0] to offsets[count]
//   buffer 5  args           Args               read
//
// One thread a token; dispatch `count` threads. The tables are those of bpe.metal. An id that is not below args.tokens, or whose
// length is not that between its offsets, writes nothing. Called for every text that is decoded as a whole.
//
//   pytest milestones/m0/test_detokenize.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint count;
    uint tokens;
};

kernel void detokenize(device const uint *ids [[buffer(0)]],
                       device const uint *offsets [[buffer(1)]],
                       device const uchar *token_bytes [[buffer(2)]],
                       device const uint *token_offsets [[buffer(3)]],
                       device uchar *out [[buffer(4)]],
                       constant Args &args [[buffer(5)]],
                       uint i [[thread_position_in_grid]]) {
    if (i >= args.count) return;  // the rounded-up tail
    const uint id = ids[i];
    if (id >= args.tokens) return;
    const uint first = token_offsets[id], length = token_offsets[id + 1] - first, to = offsets[i];
    if (offsets[i + 1] - to != length) return;
    for (uint b = 0; b < length; b++) out[to + b] = token_bytes[first + b];
}
