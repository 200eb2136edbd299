"""Host side of bpe.metal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from metal.tensor import Gpu, Tensor, require
from milestones.m0.packed import Index, Packed, joined
from milestones.m0.tables import NONE, merge_table, vocabulary_table
from milestones.m0.vocabulary import Vocabulary


class Bpe:
    """Byte-pair encoding, its tables on the device. See reference/bpe.py for the rule, bpe.metal for the contract."""

    def __init__(self, gpu: Gpu, vocabulary: Vocabulary):
        require(len(vocabulary.tokens) > 0, "bpe: the vocabulary has no tokens")
        self._gpu, self._function = gpu, gpu.kernel("m0", "bpe")
        tokens = Packed.of(vocabulary.tokens)
        known = Known(tokens, vocabulary.special.values())
        self.bytes_held = known.bytes_held
        entered = known.ids[::-1]  # the last first, as reference/mistakes/bpe.py and the README's slots have it
        table = vocabulary_table(tokens.take(entered), entered)
        merges = merge_table(*_carried_out(vocabulary, known))
        self.token_bytes = gpu.tensor(tokens.data if tokens.data.size else np.zeros(1, np.uint8))
        self.token_offsets = gpu.tensor(tokens.offsets, np.uint32)
        self._tables = [self.token_bytes, self.token_offsets, gpu.tensor(table), gpu.tensor(merges)]
        self._numbers = (len(table) - 1, len(merges) - 1, int(vocabulary.whole_first))

    def __call__(self, pieces: Sequence[bytes]) -> list[np.ndarray]:
        """The ids of each piece, uint32. Queues one kernel and waits for it. A byte that is no token gives 0xFFFFFFFF.

        Raises ValueError for an empty piece, or for more than 2³² − 1 bytes at once.
        """
        if not pieces:
            return []
        offsets, ids, counts = self.as_written(pieces)
        return [ids[o : o + n] for o, n in zip(offsets[:-1].tolist(), counts.tolist(), strict=True)]

    def as_written(self, pieces: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(offsets, ids, counts): where each piece begins, and the kernel's two outputs as it leaves them."""
        packed = Packed.of(pieces)
        require(bool(packed.lengths.all()), "bpe: a piece must hold at least one byte")
        offsets = packed.offsets
        require(int(offsets[-1]) < NONE, f"bpe: {int(offsets[-1])} bytes are too many at once, at most {NONE - 1}")
        gpu, size = self._gpu, int(offsets[-1])
        text = gpu.tensor(packed.data)
        ids, starts, ranks = (gpu.empty((size,), np.uint32) for _ in range(3))
        counts = gpu.empty((len(pieces),), np.uint32)
        args = gpu.constants("IIII", len(pieces), *self._numbers)
        inputs: list[Tensor] = [text, gpu.tensor(offsets, np.uint32), *self._tables]
        gpu.run(self._function, len(pieces), *inputs, ids, counts, starts, ranks, args)
        gpu.sync()
        return offsets, ids.numpy(), counts.numpy()


class Known:
    """The tokens that a text may merge into: not empty, of equals the first, not special (those are found before, as text)."""

    def __init__(self, tokens: Packed, special: Iterable[int]):
        able = tokens.lengths > 0
        able[list(special)] = False
        self.tokens, self._able = tokens, np.flatnonzero(able)
        self._strings, self._hashes = tokens.take(self._able), tokens.hashes()
        self._index = Index(self._strings)
        self.first = self.find(tokens, self._hashes)  # of each token: the first that is equal to it; -1 for none
        self.ids = self._able[self.first[self._able] == self._able]

    def find(self, wanted: Packed, hashes: np.ndarray) -> np.ndarray:
        """The id of each, -1 for one that is not there."""
        at = self._index.find(wanted, hashes)
        return np.where(at < 0, -1, self._able[at]) if self._able.size else at

    def made(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The ids of tokens left and right together, -1 where that is none."""
        a, b = self.tokens.take(left), self.tokens.take(right)
        return self.find(a.before(b), joined(self._hashes[left], a.lengths, self._hashes[right]))

    @property
    def bytes_held(self) -> frozenset[int]:
        return frozenset(self.tokens.data[self.tokens.offsets[self.ids]][self.tokens.lengths[self.ids] == 1].tolist())


def _carried_out(vocabulary: Vocabulary, known: Known) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(left, right, rank) of the merges whose halves and whole the table holds, by the ids that it holds them under.

    The others could not be carried out: their whole is a special token (which no text may merge into) or none at all.
    """
    left, right = vocabulary.merges[:, 0], vocabulary.merges[:, 1]
    kept = (known.made(left, right) >= 0) & (known.first[left] >= 0) & (known.first[right] >= 0)
    return known.first[left[kept]], known.first[right[kept]], vocabulary.ranks[kept]
