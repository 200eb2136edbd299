"""What bpe gives if it is written with a known mistake. `(pieces, rules, tokens, whole_first=False)` → (counts, ids), uint32.

`rules` are pairs of bytes, the lowest rank first; `tokens[id]` is a token's bytes. `ids` has an element for every byte of the
pieces: each piece's ids stand where its bytes stand, and NONE behind them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from reference.bpe import bpe

NONE = 0xFFFFFFFF
Rules = Sequence[tuple[bytes, bytes]]
Tokens = Sequence[bytes]


def packed(pieces: Sequence[bytes], ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """(counts, ids) of pieces whose ids are given one list a piece."""
    rows = [[*row, *[NONE] * (len(piece) - len(row))] for piece, row in zip(pieces, ids, strict=True)]
    return np.array([len(row) for row in ids], np.uint32), np.array([i for row in rows for i in row], np.uint32)


def right(pieces: Sequence[bytes], rules: Rules, tokens: Tokens, whole_first: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """By reference/bpe.py; a byte that is no token gives NONE."""
    known, listed = ids_of(tokens), list(rules)
    cut = [[piece] if whole_first and piece in known else bpe(piece, listed) for piece in pieces]
    return packed(pieces, [[known.get(symbol, NONE) for symbol in symbols] for symbols in cut])


def ids_of(tokens: Tokens) -> dict[bytes, int]:
    """token → id; of equal tokens the first counts. In the order in which the host enters them in its table: last first."""
    return {token: i for i, token in reversed(list(enumerate(tokens))) if token}


def token_hash(data: bytes, signed: bool = False) -> int:
    """FNV-1a, 32 bits."""
    value = 2166136261
    for byte in data:
        value = ((value ^ (byte | 0xFFFFFF00 if signed and byte > 127 else byte)) * 16777619) & NONE
    return value


def pair_hash(left: int, right: int) -> int:
    """The hash of a pair of ids."""
    mixed = ((left * 2654435761) ^ (right * 2246822519)) & NONE
    return mixed ^ (mixed >> 15)


def slots(hashes: Sequence[int]) -> dict[int, int]:
    """slot → number of the entry there, of a table of a power of two of slots at most half full, as the host fills it."""
    size, waiting, taken = table_size(len(hashes)), list(enumerate(hashes)), {}
    for step in range(size):
        free = [slot for slot in range(size) if slot not in taken]
        for number, value in list(waiting):
            if (slot := (value + step) % size) in free:
                taken[slot] = number
                free.remove(slot)
                waiting.remove((number, value))
        if not waiting:
            break
    return taken


def table_size(entries: int) -> int:
    """How many slots the host gives to so many entries."""
    return 1 << max(1, (2 * entries - 1).bit_length())


def _probe(table: dict[int, int], size: int, value: int, match: Callable[[int], bool], steps: int | None = None) -> int | None:
    """The first entry from its hash on that matches; None at a free slot, or after so many steps."""
    for step in range(size if steps is None else steps):
        entry = table.get((value + step) % size)
        if entry is None or match(entry):
            return entry
    return None


def _encode(
    pieces: Sequence[bytes],
    rules: Rules,
    tokens: Tokens,
    whole_first: bool = False,
    *,
    merge: Callable,
    find: Callable | None = None,
    rank: Callable | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The shape of all mistakes: another way to merge, to look a token up, or a pair."""
    known = ids_of(tokens)
    order = {pair: n for n, pair in reversed(list(enumerate((known[a], known[b]) for a, b in rules)))}
    find_token = find(known) if find else lambda data: known.get(data, NONE)
    find_rank = rank(order) if rank else lambda left, right: order.get((left, right), NONE)
    whole = [find_token(piece) if whole_first else NONE for piece in pieces]
    made = [[w] if w != NONE else merge(p, find_token, find_rank) for w, p in zip(whole, pieces, strict=True)]
    return packed(pieces, made)


def _one_by_one(pick: Callable) -> Callable:
    """One merge after the other, at the place that `pick(ranks, ids of the merged)` names; at most 4,096 of them."""

    def merge(piece: bytes, find: Callable, rank: Callable) -> list[int]:
        symbols = [piece[i : i + 1] for i in range(len(piece))]
        for _ in range(4096):
            ids = [find(symbol) for symbol in symbols]
            ranks = [rank(a, b) for a, b in pairwise(ids)]
            places = [i for i, r in enumerate(ranks) if r != NONE]
            if not places:
                return ids
            at = pick(places, ranks, [find(a + b) for a, b in pairwise(symbols)])
            if at is None:
                return ids
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        return ids

    return merge


def _in_passes(
    piece: bytes,
    find: Callable,
    rank: Callable,
    *,
    passes: int = 4096,
    left: bool = True,
    right: bool = True,
    lower: bool = True,
    last: bool = True,
    first_rank: int = 0,
) -> list[int]:
    """All pairs of the lowest rank in a pass, ranks kept from pass to pass; each flag says whether a part of it is right."""
    symbols = [piece[i : i + 1] for i in range(len(piece))]
    ids = [find(symbol) for symbol in symbols]
    ranks = [rank(a, b) for a, b in pairwise(ids)] + [NONE]
    for _ in range(passes):
        best = min((r for r in ranks[: -1 if last else -2] if r >= first_rank), default=NONE)
        if best == NONE:
            break
        new: list[tuple[bytes, int, int]] = []
        stop, at = False, 0
        while at < len(symbols):
            if stop or ranks[at] != best or at + 1 == len(symbols):
                new.append((symbols[at], ids[at], ranks[at]))
                at += 1
                continue
            whole, next_id = symbols[at] + symbols[at + 1], ids[at + 2] if at + 2 < len(ids) else NONE
            made = find(whole)
            before, behind = NONE, ranks[at + 1]
            if new and left:
                before = rank(new[-1][1], made)
                new[-1] = (*new[-1][:2], before)
            if right:
                behind = rank(made, next_id) if at + 2 < len(ids) else NONE
            stop = lower and (before < best or behind < best)
            new.append((whole, made, behind))
            at += 2
        symbols, ids, ranks = ([*column] for column in zip(*new, strict=True))
        ranks[-1] = NONE
    return ids


def _greedy(piece: bytes, find: Callable, rank: Callable) -> list[int]:
    """From the left, the longest token that fits: no merges at all."""
    found, at = [], 0
    while at < len(piece):
        size = next((n for n in range(len(piece) - at, 1, -1) if find(piece[at : at + n]) != NONE), 1)
        found.append(find(piece[at : at + size]))
        at += size
    return found


def _same_hash(match: Callable[[bytes, bytes], bool]) -> Callable:
    """Tokens of equal hash told apart by less than all their bytes."""

    def of(known: dict[bytes, int]) -> Callable:
        names = list(known)
        hashes = [token_hash(name) for name in names]
        table, size = slots(hashes), table_size(len(names))

        def find(data: bytes) -> int:
            value = token_hash(data)
            entry = _probe(table, size, value, lambda e: hashes[e] == value and match(names[e], data))
            return NONE if entry is None else known[names[entry]]

        return find

    return of


def _first_slot(known: dict[bytes, int], steps: int = 1) -> Callable:
    """A token is found in the slot where its probe begins, or not at all."""
    names = list(known)
    table, size = slots([token_hash(name) for name in names]), table_size(len(names))

    def find(data: bytes) -> int:
        entry = _probe(table, size, token_hash(data), lambda e: names[e] == data, steps)
        return NONE if entry is None else known[names[entry]]

    return find


def _signed(known: dict[bytes, int]) -> Callable:
    """The hash of bytes above 127 taken as negative numbers: they are looked for in the wrong place."""
    names = list(known)
    hashes = [token_hash(name) for name in names]
    table, size = slots(hashes), table_size(len(names))

    def find(data: bytes) -> int:
        value = token_hash(data, signed=True)
        entry = _probe(table, size, value, lambda e: hashes[e] == value and names[e] == data)
        return NONE if entry is None else known[names[entry]]

    return find


def _pairs(match: Callable[[tuple[int, int], int, int], bool], steps: int | None = None) -> Callable:
    """Pairs found in the table by another comparison, or within so many steps."""

    def of(order: dict[tuple[int, int], int]) -> Callable:
        listed = sorted(order, key=order.__getitem__)
        table, size = slots([pair_hash(*pair) for pair in listed]), table_size(len(listed))

        def rank(left: int, right: int) -> int:
            entry = _probe(table, size, pair_hash(left, right), lambda e: match(listed[e], left, right), steps)
            return NONE if entry is None else order[listed[entry]]

        return rank

    return of


def _not_whole(pieces: Sequence[bytes], rules: Rules, tokens: Tokens, whole_first: bool = False) -> tuple:
    return right(pieces, rules, tokens, not whole_first)


def _joined(pieces: Sequence[bytes], rules: Rules, tokens: Tokens, whole_first: bool = False) -> tuple:
    """Every piece with its successor's first byte."""
    longer = [a + b[:1] for a, b in zip(pieces, [*pieces[1:], b""], strict=True)]
    ends = np.cumsum([len(p) for p in longer])
    _, ids = right(longer, rules, tokens, whole_first)
    rows = [ids[end - len(p) : end].tolist() for p, end in zip(longer, ends, strict=True)]
    return packed(pieces, [[i for i in row if i != NONE][: len(p)] for row, p in zip(rows, pieces, strict=True)])


def _last_byte_lost(pieces: Sequence[bytes], rules: Rules, tokens: Tokens, whole_first: bool = False) -> tuple:
    known, listed = ids_of(tokens), list(rules)
    return packed(pieces, [[known.get(s, NONE) for s in bpe(p[:-1], listed)] for p in pieces])


def _lowest(places: list[int], ranks: list[int], made: list[int]) -> int:
    return min(places, key=lambda i: (ranks[i], i))


RIGHT = right
_one = partial(_encode, merge=_one_by_one(_lowest))
MISTAKES: dict[str, Callable] = {
    "the opposite of what whole_first asks for": _not_whole,
    "no merges at all: every byte is a token": partial(
        _encode, merge=lambda p, find, rank: [find(p[i : i + 1]) for i in range(len(p))]
    ),
    "the longest token from the left (greedy), not merges in order of rank": partial(_encode, merge=_greedy),
    "merges in the order of highest rank first": partial(
        _encode, merge=_one_by_one(lambda places, ranks, made: max(places, key=lambda i: (ranks[i], -i)))
    ),
    "merges from the left, whatever their rank": partial(_encode, merge=_one_by_one(lambda places, ranks, made: places[0])),
    "merges with the rightmost of equal pairs first": partial(
        _encode, merge=_one_by_one(lambda places, ranks, made: min(places, key=lambda i: (ranks[i], -i)))
    ),
    "merges in the order of the lowest id made, not of the lowest rank": partial(
        _encode, merge=_one_by_one(lambda places, ranks, made: min(places, key=lambda i: (made[i], i)))
    ),
    "one pass only: pairs that the first merges make are never merged": partial(_encode, merge=partial(_in_passes, passes=1)),
    "rank 0 taken for no rank: the first rule never applies": partial(_encode, merge=partial(_in_passes, first_rank=1)),
    "the last pair of a piece never merged: does the loop over the pairs end too early?": partial(
        _encode, merge=partial(_in_passes, last=False)
    ),
    "the rank with the left neighbour not looked up again after a merge": partial(
        _encode, merge=partial(_in_passes, left=False)
    ),
    "the rank with the right neighbour not looked up again after a merge": partial(
        _encode, merge=partial(_in_passes, right=False)
    ),
    "all pairs of a rank merged in one pass, though a merge has made a pair of a lower rank": partial(
        _encode, merge=partial(_in_passes, lower=False)
    ),
    "pieces without their last byte": _last_byte_lost,
    "pieces with the next piece's first byte": _joined,
    "tokens told apart by their hash alone: another token's hash may be the same": partial(
        _one, find=_same_hash(lambda name, data: True)
    ),
    "tokens told apart by their hash and length alone: their bytes may differ": partial(
        _one, find=_same_hash(lambda name, data: len(name) == len(data))
    ),
    "tokens told apart by their hash and first bytes alone: their lengths may differ": partial(
        _one, find=_same_hash(lambda name, data: name.startswith(data))
    ),
    "tokens looked for only in the slot where the probe begins": partial(_one, find=_first_slot),
    "bytes from 128 up hashed as negative numbers": partial(_one, find=_signed),
    "pairs told apart by their left half alone": partial(_one, rank=_pairs(lambda pair, left, right: pair[0] == left)),
    "pairs told apart by their right half alone": partial(_one, rank=_pairs(lambda pair, left, right: pair[1] == right)),
    "pairs told apart by nothing: whatever stands in the slot is taken": partial(
        _one, rank=_pairs(lambda pair, left, right: True)
    ),
    "pairs looked for only in the slot where the probe begins": partial(
        _one, rank=_pairs(lambda pair, left, right: pair == (left, right), steps=1)
    ),
}
