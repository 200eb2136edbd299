"""Host side of bpe.metal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metal.tensor import Gpu, Tensor, require
from milestones.m0.tables import NONE, merge_table, vocabulary_table
from milestones.m0.vocabulary import Vocabulary


class Bpe:
    """Byte-pair encoding, its tables on the device. See reference/bpe.py for the rule, bpe.metal for the contract."""

    def __init__(self, gpu: Gpu, vocabulary: Vocabulary):
        require(len(vocabulary.tokens) > 0, "bpe: the vocabulary has no tokens")
        self._gpu, self._function = gpu, gpu.kernel("m0", "bpe")
        # Special tokens are found in the text before, never by their bytes. Of equal tokens the first counts.
        special = set(vocabulary.special.values())
        by_bytes = {t: i for i, t in reversed(list(enumerate(vocabulary.tokens))) if t and i not in special}
        self.bytes_held = frozenset(token[0] for token in by_bytes if len(token) == 1)
        table = vocabulary_table(list(by_bytes), np.fromiter(by_bytes.values(), np.uint32, len(by_bytes)))
        merges = merge_table(*_carried_out(vocabulary, by_bytes))
        lengths = np.fromiter(map(len, vocabulary.tokens), np.uint32, len(vocabulary.tokens))
        self.token_bytes = gpu.tensor(np.frombuffer(b"".join(vocabulary.tokens) or b"\0", np.uint8))
        self.token_offsets = gpu.tensor(np.concatenate([[0], np.cumsum(lengths)]), np.uint32)
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
        require(all(pieces), "bpe: a piece must hold at least one byte")
        lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        require(int(offsets[-1]) < NONE, f"bpe: {int(offsets[-1])} bytes are too many at once, at most {NONE - 1}")
        gpu, size = self._gpu, int(offsets[-1])
        text = gpu.tensor(np.frombuffer(b"".join(pieces), np.uint8))
        ids, starts, ranks = (gpu.empty((size,), np.uint32) for _ in range(3))
        counts = gpu.empty((len(pieces),), np.uint32)
        args = gpu.constants("IIII", len(pieces), *self._numbers)
        inputs: list[Tensor] = [text, gpu.tensor(offsets, np.uint32), *self._tables]
        gpu.run(self._function, len(pieces), *inputs, ids, counts, starts, ranks, args)
        gpu.sync()
        return offsets, ids.numpy(), counts.numpy()


def _carried_out(vocabulary: Vocabulary, by_bytes: Mapping[bytes, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(left, right, rank) of the merges whose halves and whole the table holds, by the ids that it holds them under.

    The others could not be carried out: their whole is a special token (which no text may merge into) or none at all.
    """
    tokens = vocabulary.tokens
    known = [by_bytes.get(token, NONE) for token in tokens]
    left, right = vocabulary.merges[:, 0], vocabulary.merges[:, 1]
    made = [tokens[a] + tokens[b] in by_bytes for a, b in vocabulary.merges.tolist()]
    halves = np.array(known, np.uint32)
    kept = np.flatnonzero(np.array(made, bool) & (halves[left] != NONE) & (halves[right] != NONE))
    return halves[left[kept]], halves[right[kept]], vocabulary.ranks[kept]
