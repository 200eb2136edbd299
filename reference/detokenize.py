"""Token ids back to bytes: each token's bytes, one after the other.

>>> detokenize([1, 0, 1], [b"b", b"an"])
b'anban'
"""

from collections.abc import Sequence


def detokenize(ids: Sequence[int], tokens: Sequence[bytes]) -> bytes:
    """The bytes of `ids`. No offsets, no tables: joined."""
    return b"".join(tokens[i] for i in ids)
