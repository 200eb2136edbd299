// Token ids back to bytes: out[offsets[i] … offsets[i + 1]) = the bytes of token ids[i]
//
//   buffer 0  ids            uint [count]       read
//   buffer 1  offsets        uint [count + 1]   read; by the host: where in `out` each id's bytes go
//   buffer 2  token_bytes    uchar [any]        read: every token's bytes, one after the other
//   buffer 3  token_offsets  uint [tokens + 1]  read: token t is token_bytes[token_offsets[t] … token_offsets[t + 1])
//   buffer 4  out            uchar [bytes]      to be written, every element from offsets[0] to offsets[count]
//   buffer 5  args           Args               read
//
// Dispatched with `count` threads: one an id, and it writes all bytes of that id's token. The dispatch is rounded up to whole
// threadgroups, so threads with i >= count run too: they must read and write nothing. Tokens are of any length, 0 too, and so
// of any bytes: 0, 255 and halves of characters are bytes like any other. [a … b) is from a up to, but without, b.
//
// A kernel reads and writes where it is told to, so it must not trust what it is told: an id that is not below args.tokens, or
// whose length is not offsets[i + 1] - offsets[i], writes nothing. Called for every text that is decoded as a whole.
//
//   pytest -x milestones/m0/test_detokenize.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint count;   // of ids
    uint tokens;  // of the vocabulary
};

kernel void detokenize(device const uint *ids [[buffer(0)]],
                       device const uint *offsets [[buffer(1)]],
                       device const uchar *token_bytes [[buffer(2)]],
                       device const uint *token_offsets [[buffer(3)]],
                       device uchar *out [[buffer(4)]],
                       constant Args &args [[buffer(5)]],
                       uint i [[thread_position_in_grid]]) {
    // Your task: copy the bytes of token ids[i] to their place in the text.
}
