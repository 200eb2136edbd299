// Byte-pair encoding of pieces: start from single bytes, then merge the adjacent pair of the lowest rank, the leftmost of
// equals, again and again until no adjacent pair has a rank
//
//   buffer 0  text           uchar [bytes]          read: all pieces, one after the other
//   buffer 1  piece_offsets  uint [pieces + 1]      read: piece p is text[piece_offsets[p] … piece_offsets[p + 1])
//   buffer 2  token_bytes    uchar [any]            read: every token's bytes, one after the other
//   buffer 3  token_offsets  uint [tokens + 1]      read: token t is token_bytes[token_offsets[t] … token_offsets[t + 1])
//   buffer 4  vocabulary     uint [slots, 2]        read: tokens by their bytes: (hash, id), id NONE in a free slot
//   buffer 5  merges         uint [slots, 3]        read: ranks by pair of ids: (left, right, rank), left NONE in a free slot
//   buffer 6  ids            uint [bytes]           to be written: piece p's ids from piece_offsets[p] on, as many as counts[p]
//   buffer 7  counts         uint [pieces]          to be written, every element: how many ids piece p has
//   buffer 8  starts         uint [bytes]           yours: room for one number a byte, with nothing in it
//   buffer 9  ranks          uint [bytes]           yours: the same again
//   buffer 10 args           Args                   read
//
// Dispatched with `pieces` threads: one a piece. The dispatch is rounded up to whole threadgroups, so threads with p >= pieces
// run too: they must read and write nothing. A piece has one byte at least, and there is no longest one. Of ids, starts and
// ranks a thread may touch only what belongs to its piece, from piece_offsets[p] up to, but without, piece_offsets[p + 1]: the
// rest belongs to other threads, which run at the same time.
//
// A symbol is what has been merged so far; its id is that of the token with its bytes, or NONE if there is none (a byte may be
// missing from the vocabulary: its id is NONE, and NONE merges with nothing). Two symbols' rank is found by their two ids.
// If args.whole_first is not 0, a piece that is a token as a whole is taken as it is, before any merge.
//
// Both tables are hash tables, filled by the host, and read alike: a key is looked for in the slot (hash & mask), then in the
// next ones, from the last one on in slot 0, until it is found, or a free slot says that it is not there (at least half of
// them are free). A slot matches only if the whole key does: all bytes of a token and its length, both ids of a merge. The 32
// bits of a hash may be the same for different keys. Called for every prompt.
//
//   pytest -x milestones/m0/test_bpe.py
#include <metal_stdlib>
using namespace metal;

constant uint NONE = 0xFFFFFFFFu;

struct Args {
    uint pieces;
    uint vocabulary_mask;  // slots - 1; slots are a power of two
    uint merge_mask;
    uint whole_first;
};

// How the host hashed a token's bytes (FNV-1a): begin with this number …
constant uint HASH_OF_NOTHING = 2166136261u;

// … and take in one byte after the other.
static inline uint hash_with(uint hash, uchar byte) {
    return (hash ^ byte) * 16777619u;
}

// How the host hashed a pair of ids.
static inline uint hash_of_pair(uint left, uint right) {
    const uint hash = left * 2654435761u ^ right * 2246822519u;
    return hash ^ (hash >> 15);
}

kernel void bpe(device const uchar *text [[buffer(0)]],
                device const uint *piece_offsets [[buffer(1)]],
                device const uchar *token_bytes [[buffer(2)]],
                device const uint *token_offsets [[buffer(3)]],
                device const uint *vocabulary [[buffer(4)]],
                device const uint *merges [[buffer(5)]],
                device uint *ids [[buffer(6)]],
                device uint *counts [[buffer(7)]],
                device uint *starts [[buffer(8)]],
                device uint *ranks [[buffer(9)]],
                constant Args &args [[buffer(10)]],
                uint p [[thread_position_in_grid]]) {
    // Your task: write piece p's ids and how many they are. (Functions of your own go above; they need two look-ups: the id of
    // some bytes, the rank of two ids.)
}
