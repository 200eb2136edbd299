"""The merges of one piece, step by step, on the host: what bpe.metal does, slowly, with every step kept."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from milestones.m0.vocabulary import Vocabulary


@dataclass(frozen=True)
class Step:
    """One merge: the symbols before it, which of them is joined with the next, and the pair's rank."""

    symbols: tuple[bytes, ...]
    at: int
    rank: int


@dataclass(frozen=True)
class Walk:
    """`whole`: the piece is a token and the vocabulary takes such pieces as they are, before any merge."""

    steps: tuple[Step, ...]
    symbols: tuple[bytes, ...]  # at the end
    ids: tuple[int, ...]
    whole: bool


class Merges:
    """A vocabulary's merges by their bytes."""

    def __init__(self, vocabulary: Vocabulary):
        special, tokens = set(vocabulary.special.values()), [bytes(token) for token in vocabulary.tokens]
        self._ids: dict[bytes, int] = {}
        for index, token in enumerate(tokens):
            if token and index not in special:  # of equals the first; no text merges into a special token
                self._ids.setdefault(token, index)
        self._ranks: dict[tuple[bytes, bytes], int] = {}
        for (left, right), rank in zip(vocabulary.merges.tolist(), vocabulary.ranks.tolist(), strict=True):
            pair = tokens[left], tokens[right]
            if pair[0] in self._ids and pair[1] in self._ids and pair[0] + pair[1] in self._ids:
                self._ranks[pair] = min(rank, self._ranks.get(pair, rank))
        self._whole_first = vocabulary.whole_first

    def walk(self, piece: bytes) -> Walk:
        """Every merge of a piece, whose bytes the vocabulary must hold."""
        if self._whole_first and piece in self._ids:
            return Walk((), (piece,), (self._ids[piece],), True)
        symbols, steps = [bytes([byte]) for byte in piece], list[Step]()
        while ranked := [(self._ranks[pair], at) for at, pair in enumerate(pairwise(symbols)) if pair in self._ranks]:
            rank, at = min(ranked)  # the lowest rank, of equals the leftmost
            steps.append(Step(tuple(symbols), at, rank))
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        return Walk(tuple(steps), tuple(symbols), tuple(self._ids[symbol] for symbol in symbols), False)
