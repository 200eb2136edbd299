"""Which strings are the same: for each, the first that is equal to it.

>>> distinct([b"the", b" ", b"the"])
[0, 1, 0]
"""

from collections.abc import Sequence


def distinct(pieces: Sequence[bytes]) -> list[int]:
    """The index of the first of its like, for each piece."""
    first: dict[bytes, int] = {}
    return [first.setdefault(piece, index) for index, piece in enumerate(pieces)]
