// Byte-pair encoding of pieces: start from single bytes, then merge the adjacent pair of the lowest rank, the leftmost of equals,
// again and again until no adjacent pair has a rank
//
//   buffer 0  text           uchar [bytes]          read: all pieces, one after the other
//   buffer 1  piece_offsets  uint [pieces + 1]      read: piece p is text[piece_offsets[p] … piece_offsets[p + 1])
//   buffer 2  token_bytes    uchar [any]            read: every token's bytes, one after the other
//   buffer 3  token_offsets  uint [tokens + 1]      read: token t is token_bytes[token_offsets[t] … token_offsets[t + 1])
//   buffer 4  vocabulary     uint [slots, 2]        read: hash table of tokens by their bytes: (hash, id), id NONE in a free slot
//   buffer 5  merges         uint [slots, 3]        read: hash table of merges by pair of ids: (left, right, rank), left NONE if free
//   buffer 6  ids            uint [bytes]           written: piece p's ids from piece_offsets[p] on, as many as counts[p]
//   buffer 7  counts         uint [pieces]          written, every element
//   buffer 8  starts         uint [bytes]           scratch: where each symbol begins in the text
//   buffer 9  ranks          uint [bytes]           scratch: the rank of each symbol with its right neighbour
//   buffer 10 args           Args                   read
//
// Where args.whole_first is set, a piece that is a token as a whole is taken as it is, before any merge.
//
// One thread a piece; dispatch `pieces` threads. Both tables are open-addressed with a power of two of slots and linear probing,
// and a slot only matches if the whole key is equal: bytes for a token, both ids for a merge. A merge's id is found by the bytes
// it makes. Neighbours' ranks are kept, so a merge costs three look-ups however long the piece is; and a pass over the piece merges
// every pair of the lowest rank, so that a long piece takes as many passes as it needs different merges. Called for every prompt.
//
//   pytest milestones/m0/test_bpe.py
#include <metal_stdlib>
using namespace metal;

constant uint NONE = 0xFFFFFFFFu;

struct Args {
    uint pieces;
    uint vocabulary_mask;  // slots - 1
    uint merge_mask;
    uint whole_first;
};

// The id of the token that is bytes[0 … count), or NONE. Hash: FNV-1a.
static uint find_token(device const uchar *bytes, uint count, device const uchar *token_bytes, device const uint *token_offsets,
                       device const uint *vocabulary, uint mask) {
    uint hash = 2166136261u;
    for (uint i = 0; i < count; i++) hash = (hash ^ bytes[i]) * 16777619u;
    for (uint slot = hash & mask;; slot = (slot + 1) & mask) {
        const uint id = vocabulary[2 * slot + 1];
        if (id == NONE) return NONE;
        if (vocabulary[2 * slot] != hash) continue;
        const uint first = token_offsets[id];
        if (token_offsets[id + 1] - first != count) continue;
        bool equal = true;
        for (uint i = 0; i < count; i++) equal = equal && token_bytes[first + i] == bytes[i];
        if (equal) return id;
    }
}

// The rank of merging `left` and `right`, or NONE if they do not merge; what is no token (NONE) is in no merge.
static uint find_rank(uint left, uint right, device const uint *merges, uint mask) {
    uint hash = left * 2654435761u ^ right * 2246822519u;
    hash ^= hash >> 15;
    for (uint slot = hash & mask;; slot = (slot + 1) & mask) {
        if (merges[3 * slot] == NONE) return NONE;
        if (merges[3 * slot] == left && merges[3 * slot + 1] == right) return merges[3 * slot + 2];
    }
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
    if (p >= args.pieces) return;
    const uint begin = piece_offsets[p], end = piece_offsets[p + 1];
    device uint *id = ids + begin;
    device uint *start = starts + begin;
    device uint *rank = ranks + begin;

    uint count = end - begin;
    if (args.whole_first != 0) {
        const uint whole = find_token(text + begin, count, token_bytes, token_offsets, vocabulary, args.vocabulary_mask);
        if (whole != NONE) {
            id[0] = whole;
            counts[p] = 1;
            return;
        }
    }
    for (uint i = 0; i < count; i++) {
        start[i] = begin + i;
        id[i] = find_token(text + begin + i, 1, token_bytes, token_offsets, vocabulary, args.vocabulary_mask);
    }
    for (uint i = 0; i + 1 < count; i++) rank[i] = find_rank(id[i], id[i + 1], merges, args.merge_mask);

    while (count > 1) {
        uint best = NONE;
        for (uint i = 0; i + 1 < count; i++) best = min(best, rank[i]);
        if (best == NONE) break;
        // From the left, merge every pair of that rank, and close up behind them. A pair that is new and lower comes first: then
        // the rest is only moved up, and the search begins anew.
        bool lower = false;
        uint to = 0;
        for (uint from = 0; from < count; to++) {
            const bool merged = !lower && from + 1 < count && rank[from] == best;
            const uint next = from + (merged ? 2 : 1);
            uint before = NONE, behind = from + 1 < count ? rank[from] : NONE;
            if (merged) {
                const uint after = next < count ? start[next] : end;
                id[to] = find_token(text + start[from], after - start[from], token_bytes, token_offsets, vocabulary,
                                    args.vocabulary_mask);
                if (to > 0) before = rank[to - 1] = find_rank(id[to - 1], id[to], merges, args.merge_mask);
                behind = next < count ? find_rank(id[to], id[next], merges, args.merge_mask) : NONE;
                lower = before < best || behind < best;
            } else {
                id[to] = id[from];
            }
            start[to] = start[from];
            if (next < count) rank[to] = behind;
            from = next;
        }
        count = to;
    }
    counts[p] = count;
}
