"""Byte-pair encoding (Sennrich et al., 2016; over bytes: Radford et al., 2019): one rule after the other, in order of rank.

Lowest rank first, leftmost first, again after every merge. Here by walking through the rules once from the top for each
merge, with tuples and a dict: no hash table of ours, no ids until the end.

>>> rules = [(b"a", b"b"), (b"ab", b"c"), (b"b", b"c")]
>>> bpe(b"abcbc", rules)  # a b c b c → ab c b c → abc b c → abc bc
[b'abc', b'bc']
"""

import itertools


def bpe(piece: bytes, rules: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The symbols of `piece` when no rule applies any more. `rules` are pairs to merge, the lowest rank first."""
    symbols = [bytes([byte]) for byte in piece]
    while True:
        pairs = set(itertools.pairwise(symbols))
        rule = next((rule for rule in rules if rule in pairs), None)
        if rule is None:
            return symbols
        at = next(i for i in range(len(symbols)) if tuple(symbols[i : i + 2]) == rule)
        symbols[at : at + 2] = [rule[0] + rule[1]]
