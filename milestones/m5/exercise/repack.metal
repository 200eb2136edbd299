// Rows of blocks, as a file holds them, to and from tiles of 32 rows, as packed.h describes them. Bytes are moved, none is
// changed.
//
//   repack: buffer 0  raw     ushort [rows, blocks, size]   read, as the file holds it; size = before + 2 words + after
//           buffer 1  packed  uint [tiles, blocks, 16 size] to be written: tiles first, first + step, …, every element of them
//           buffer 2  args    Args                          read
//   unpack: buffer 0  packed                                read, the same tiles
//           buffer 1  raw                                   to be written, every element
//           buffer 2  args                                  read
//
// A block of a kind has `before` halves, then `words` of 4 bytes, then `after` halves. A tile's block has the same parts, of
// 32 rows each: half h of row l at number 32 h + l, word w at 32 w + l. Rows that the last tile has too many are zeros.
// With `head` not 0, each head's rows come in the order 0, head/2, 1, head/2 + 1, …: RoPE's pairs (i, i + head/2) stand side
// by side.
//
// One SIMD-group a tile's block, a lane a row; dispatch ceil(rows / 32) * blocks * 32 threads. Called once a tensor, at load.
//
//   pytest milestones/m5/test_repack.py
#include <metal_stdlib>
using namespace metal;

struct Args {
    uint rows;
    uint blocks;
    uint before;
    uint words;
    uint after;
    uint first;
    uint step;
    uint head;
};

// Where a lane's row lies in the file, and where its block of the tile begins; both in ushorts.
struct Place {
    ulong raw;
    ulong packed;
    bool filled;  // whether there is such a row
    bool inside;  // whether there is such a tile
};

static Place place_of(constant Args &args, uint simdgroup, uint lane) {
    const uint tile = simdgroup / args.blocks, block = simdgroup % args.blocks;
    const uint size = args.before + 2 * args.words + args.after;
    uint row = tile * 32 + lane;
    Place place;
    place.inside = tile * 32 < args.rows;
    place.filled = row < args.rows;
    if (args.head != 0) row = row / args.head * args.head + row % args.head / 2 + row % 2 * (args.head / 2);
    place.raw = (ulong(row) * args.blocks + block) * size;
    place.packed = (ulong(args.first + tile * args.step) * args.blocks + block) * 32 * size;
    return place;
}

kernel void repack(device const ushort *raw [[buffer(0)]],
                   device uint *packed [[buffer(1)]],
                   constant Args &args [[buffer(2)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write this lane's row of a tile's block: its halves, words and halves, or zeros.
}

kernel void unpack(device const uint *packed [[buffer(0)]],
                   device ushort *raw [[buffer(1)]],
                   constant Args &args [[buffer(2)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]]) {
    // Your task: write the row back as the file holds it, if there is one.
}
