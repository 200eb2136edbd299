// Which pieces of a text are the same: most of them come again and again, and need be merged only once
//
//   buffer 0  text     uchar [words + 1, 4] read: bytes of the pieces, and at least four more
//   buffer 1  offsets  uint [pieces + 1]    read: piece p is text[offsets[p] … offsets[p + 1])
//   buffer 2  slots    atomic uint [slots]  read and written: NONE (set by the host), or the piece that holds the slot
//   buffer 3  same     uint [pieces]        to be written, every element: a piece of the same bytes, one for all of them
//   buffer 4  args     Args                 read
//
// One thread a piece; dispatch `pieces` threads. Bytes are taken four at a time: a piece of five takes two rounds, not
// five, and a
// SIMD-group as many as its longest. A hash table filled by all threads at once: open addressing, linear probing, a
// power of two of slots of which at least one stays free. A slot is taken by compare-and-exchange, by whichever piece
// comes first;
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

kernel void distinct(device const uint *text [[buffer(0)]],
                     device const uint *offsets [[buffer(1)]],
                     device atomic_uint *slots [[buffer(2)]],
                     device uint *same [[buffer(3)]],
                     constant Args &args [[buffer(4)]],
                     uint p [[thread_position_in_grid]]) {
    // Your task: find or take the slot of piece p, and write which piece holds it.
}
