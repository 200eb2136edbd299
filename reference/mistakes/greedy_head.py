"""Wrong choices. `(x, raw, kind, shape, span)`, its spec's eps being 1e-5 → [id] uint32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference.mistakes import norm_head


def _of(choose: Callable[[np.ndarray], int]) -> Callable:
    """The choice from float32 logits; those that are equal in float64 are equal there too."""
    return lambda x, raw, kind, shape, span=1: np.array(
        [choose(norm_head.RIGHT(x, raw, kind, shape).astype(np.float32))], np.uint32
    )


def _last(logits: np.ndarray) -> int:
    return len(logits) - 1 - int(np.argmax(logits[::-1]))


RIGHT = _of(lambda logits: int(np.argmax(logits)))
MISTAKES: dict[str, Callable] = {
    "of equal logits the higher id": _of(_last),
    "the smallest logit's id": _of(lambda logits: int(np.argmin(logits))),
    "the id of the largest by size, whatever its sign": _of(lambda logits: int(np.argmax(np.abs(logits)))),
    "the place in the tile, not the id": _of(lambda logits: int(np.argmax(logits)) % 32),
    "the tile, not the id": _of(lambda logits: int(np.argmax(logits)) // 32),
    "the best of the first tile": _of(lambda logits: int(np.argmax(logits[:32]))),
    "the best of the first 32 tiles": _of(lambda logits: int(np.argmax(logits[:1024]))),
    "the best of the last tile": _of(
        lambda logits: (len(logits) - 1) // 32 * 32 + int(np.argmax(logits[(len(logits) - 1) // 32 * 32 :]))
    ),
}
