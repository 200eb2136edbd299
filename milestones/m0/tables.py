"""The hash tables that bpe.metal probes: open addressing, linear probing, a power of two of slots at most half full."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NONE = 0xFFFFFFFF


def hash_bytes(tokens: Sequence[bytes]) -> np.ndarray:
    """FNV-1a of each token, uint32. All tokens at once, one byte position after the other."""
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    data = np.frombuffer(b"".join(tokens), np.uint8).astype(np.uint32)
    hashes = np.full(len(tokens), 2166136261, np.uint32)
    alive = np.flatnonzero(lengths > 0)
    for place in range(int(lengths.max(initial=0))):
        alive = alive[lengths[alive] > place]
        hashes[alive] = (hashes[alive] ^ data[offsets[alive] + place]) * np.uint32(16777619)
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
    taken = np.zeros(slots, bool)
    found = np.empty(len(hashes), np.int64)
    waiting = np.arange(len(hashes))
    while waiting.size:
        free = waiting[~taken[wanted[waiting]]]
        _, first = np.unique(wanted[free], return_index=True)
        placed = free[first]
        found[placed] = wanted[placed]
        taken[wanted[placed]] = True
        waiting = np.setdiff1d(waiting, placed, assume_unique=True)
        wanted[waiting] = (wanted[waiting] + 1) % slots
    return found


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
