"""The hash tables that bpe.metal probes: open addressing, linear probing, a power of two of slots at most half full."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from milestones.m0.packed import Packed

NONE = 0xFFFFFFFF


def hash_bytes(tokens: Sequence[bytes]) -> np.ndarray:
    """FNV-1a of each token, uint32. All tokens at once, one byte position after the other."""
    packed = Packed.of(tokens)
    order = np.argsort(-packed.lengths, kind="stable")  # the longest first: at each place those that are long enough lead
    lengths, at = packed.lengths[order], packed.offsets[:-1][order]
    longer = np.searchsorted(-lengths, -np.arange(1, int(lengths.max(initial=0)) + 1), "right")
    data, sorted_hashes = packed.data.astype(np.uint32), np.full(len(order), 2166136261, np.uint32)
    for place, count in enumerate(longer.tolist()):
        sorted_hashes[:count] = (sorted_hashes[:count] ^ data[at[:count] + place]) * np.uint32(16777619)
    hashes = np.empty_like(sorted_hashes)
    hashes[order] = sorted_hashes
    return hashes


def hash_pairs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The hash of pairs of ids, as bpe.metal's find_rank computes it."""
    mixed = left * np.uint32(2654435761) ^ right * np.uint32(2246822519)
    return mixed ^ (mixed >> np.uint32(15))


def slots_of(hashes: np.ndarray, slots: int) -> np.ndarray:
    """The slot of each entry, in a table of `slots`: where its probe, starting at hash mod slots, first finds room.

    Of several entries that want one slot the first gets it; the rest go on to the next, round by round.
    """
    wanted = (hashes & np.uint32(slots - 1)).astype(np.int64)
    owner = np.full(slots, -1, np.int64)  # the entry that has the slot
    waiting = np.arange(len(hashes))
    while waiting.size:
        free = waiting[owner[wanted[waiting]] < 0]
        owner[wanted[free[::-1]]] = free[::-1]  # the last that is written stays: the first of them
        got = owner[wanted[waiting]] == waiting
        waiting = waiting[~got]
        wanted[waiting] = (wanted[waiting] + 1) & (slots - 1)
    return wanted


def table_size(entries: int) -> int:
    """The smallest power of two that leaves at least half of the slots free, so that a probe for nothing ends soon."""
    return 1 << max(1, (2 * entries - 1).bit_length())


def vocabulary_table(tokens: Sequence[bytes], ids: np.ndarray) -> np.ndarray:
    """uint32 (slots, 2): (hash, id) of each token, id NONE in a free slot."""
    hashes, slots = hash_bytes(tokens), table_size(len(tokens))
    table = np.full((slots, 2), NONE, np.uint32)
    table[slots_of(hashes, slots)] = np.stack([hashes, ids.astype(np.uint32)], axis=1)
    return table


def merge_table(left: np.ndarray, right: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """uint32 (slots, 3): (left id, right id, rank) of each merge; left NONE if free. Of equal pairs the first counts."""
    entries = np.stack([left, right, ranks], axis=1).astype(np.uint32)
    entries = entries[np.argsort(entries[:, 2], kind="stable")]
    _, first = np.unique(entries[:, 0].astype(np.uint64) << np.uint64(32) | entries[:, 1], return_index=True)
    entries = entries[np.sort(first)]
    slots = table_size(len(entries))
    table = np.full((slots, 3), NONE, np.uint32)
    table[slots_of(hash_pairs(entries[:, 0], entries[:, 1]), slots)] = entries
    return table
