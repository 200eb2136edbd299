"""m0's tokenizer, faster for long texts: cut on the device, and each different piece merged once.

The ids are m0's. Short texts, and pre-tokenizers other than GPT-2's and SmolLM's, go m0's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from metal.tensor import Gpu
from milestones.m0.packed import Packed
from milestones.m0.tokenizer import Tokenizer
from milestones.m0.vocabulary import Vocabulary
from milestones.m6.distinct import Distinct
from milestones.m6.pretokenize import KINDS, Pretokenize

LEAST = 1 << 14  # bytes of text from which it pays to make the table of Unicode's classes


class FastTokenizer(Tokenizer):
    """A Tokenizer that has no work for each piece on the host."""

    def __init__(self, gpu: Gpu, vocabulary: Vocabulary, *, least: int = LEAST):
        """Texts of fewer than `least` bytes together go m0's way."""
        super().__init__(gpu, vocabulary)
        self._gpu, self._least = gpu, least
        self._kernels: tuple[Pretokenize, Distinct] | None = None

    def _segments(self, segments: Sequence[str]) -> Iterable[list[int]]:
        kind, texts = self.vocabulary.pre_tokenizer, [segment.encode("utf-8", "surrogateescape") for segment in segments]
        whole = b"".join(texts)
        if kind not in KINDS or not whole or len(whole) < self._least or len(whole.translate(None, self.lacking)) < len(whole):
            return super()._segments(segments)
        cut, distinct = self._kernels = self._kernels or (Pretokenize(self._gpu), Distinct(self._gpu))
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        text, starts = cut.held(np.frombuffer(whole, np.uint8), lengths, digits=KINDS[kind])
        offsets = np.append(np.flatnonzero(starts.numpy() != 0), starts.size)
        same = distinct(text, self._gpu.tensor(offsets, np.uint32))
        self._gpu.sync()
        standing = same.numpy().astype(np.intp)
        chosen = np.flatnonzero(standing == np.arange(len(standing)))
        # the longest first: a SIMD-group waits for its longest
        chosen = chosen[np.argsort(offsets[chosen] - offsets[chosen + 1])]
        begin, ids, counts = self._bpe.as_written(Packed.cut(text.numpy(), offsets[chosen], offsets[chosen + 1]))
        of_piece = np.empty(len(standing), np.intp)  # the number, among those chosen, of the piece that stands for it
        of_piece[chosen] = np.arange(len(chosen))
        of_piece = of_piece[standing]
        many = counts.astype(np.intp)[of_piece]
        before = np.concatenate([np.zeros(1, np.intp), np.cumsum(many)])
        every = ids[np.arange(before[-1]) + np.repeat(begin[:-1][of_piece] - before[:-1], many)]
        ends = before[np.searchsorted(offsets, np.cumsum(lengths))].tolist()
        return [every[a:b].tolist() for a, b in zip([0, *ends[:-1]], ends, strict=True)]
