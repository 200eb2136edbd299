// Which pieces of a text are the same: most of them come again and again, and need be merged only once
//
//   buffer 0  text     uchar [words + 1, 4] read: bytes of the pieces, and at least four more
//   buffer 1  offsets  uint [pieces + 1]    read: piece p is text[offsets[p] … offsets[p + 1])
//   buffer 2  slots    atomic uint [slots]  read and written: NONE (set by the host), or the piece that holds the slot
//   buffer 3  same     uint [pieces]        written, every element: a piece of the same bytes, one and the same for all of them
//   buffer 4  args     Args                 read
//
// One thread a piece; dispatch `pieces` threads. Bytes are taken four at a time: a piece of five takes two rounds, not five, and a
// SIMD-group as many as its longest. A hash table filled by all threads at once: open addressing, linear probing, a
// power of two of slots of which at least one stays free. A slot is taken by compare-and-exchange, by whichever piece comes first;
// so which of equal pieces stands for them may differ from run to run, but not which pieces are equal.
//
//   pytest milestones/m6/test_distinct.py
#include <metal_stdlib>
using namespace metal;

constant uint NONE = 0xFFFFFFFFu;

struct Args {
    uint pieces;
    uint mask;  // slots - 1
};

// Four bytes from `byte` on, in a word.
static uint four(device const uint *text, uint byte) {
    const uint shift = 8 * (byte % 4);
    return shift == 0 ? text[byte / 4] : text[byte / 4] >> shift | text[byte / 4 + 1] << (32 - shift);
}

// Of the four bytes from place i of a piece on, those that are its.
static uint held(uint i, uint count) { return count - i < 4 ? (1u << 8 * (count - i)) - 1 : 0xFFFFFFFFu; }

kernel void distinct(device const uint *text [[buffer(0)]],
                     device const uint *offsets [[buffer(1)]],
                     device atomic_uint *slots [[buffer(2)]],
                     device uint *same [[buffer(3)]],
                     constant Args &args [[buffer(4)]],
                     uint p [[thread_position_in_grid]]) {
    if (p >= args.pieces) return;  // the rounded-up tail
    const uint begin = offsets[p], count = offsets[p + 1] - begin;
    uint hash = count;
    for (uint i = 0; i < count; i += 4) {
        hash = (hash ^ (four(text, begin + i) & held(i, count))) * 2654435761u;
        hash ^= hash >> 15;
    }
    uint slot = hash & args.mask, found = NONE;
    while (found == NONE) {
        uint holder = atomic_load_explicit(&slots[slot], memory_order_relaxed);
        if (holder == NONE) {
            if (atomic_compare_exchange_weak_explicit(&slots[slot], &holder, p, memory_order_relaxed, memory_order_relaxed)) {
                holder = p;
            } else if (holder == NONE) {
                continue;  // the exchange may fail for no reason
            }
        }
        const uint other = offsets[holder];
        bool equal = offsets[holder + 1] - other == count;
        for (uint i = 0; equal && i < count; i += 4) {
            equal = ((four(text, other + i) ^ four(text, begin + i)) & held(i, count)) == 0;
        }
        if (equal) found = holder;
        slot = (slot + 1) & args.mask;
    }
    same[p] = found;
}
