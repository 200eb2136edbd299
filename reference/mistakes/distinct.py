"""What distinct gives if it is written with a known mistake. `(pieces)` → the first piece of its like for each, uint32."""

from collections.abc import Callable, Sequence

import numpy as np

from reference.distinct import distinct


def _by(key: Callable[[bytes], bytes]) -> Callable:
    """Pieces taken for the same if `key` of them is."""
    return lambda pieces: np.array(distinct([key(piece) for piece in pieces]), np.uint32)


def _never(pieces: Sequence[bytes]) -> np.ndarray:
    return np.arange(len(pieces), dtype=np.uint32)


RIGHT = _by(lambda piece: piece)
MISTAKES: dict[str, Callable] = {
    "no piece the same as another: is a slot that is taken compared with?": _never,
    "pieces of one length taken for the same: are their bytes compared?": _by(lambda piece: bytes([len(piece) % 256])),
    "pieces that begin alike taken for the same: are their lengths compared?": _by(lambda piece: piece[:1]),
    "pieces that differ in the last byte taken for the same": _by(lambda piece: piece[:-1] + b"?"),
}
