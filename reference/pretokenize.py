"""Where a text is cut before byte-pair encoding: 1 at the first byte of every piece, 0 at the others.

The rule is a regular expression, tried from the left (Radford et al., 2019): contractions, words, numbers and other signs each
with the space before them, white space. SmolLM's tokenizer cuts out every digit first. Bytes that are not UTF-8 are signs, one
by one.

>>> pretokenize(["I'm 42 now".encode()]).nonzero()[0].tolist()  # I 'm _42 _now
[0, 1, 3, 6]
>>> pretokenize(["I'm 42 now".encode()], digits=True).nonzero()[0].tolist()  # I 'm _ 4 2 _now
[0, 1, 3, 4, 5, 6]
"""

from collections.abc import Sequence

import numpy as np
import regex

_RULE = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def pretokenize(texts: Sequence[bytes], digits: bool = False) -> np.ndarray:
    """uint8 (all bytes of the texts). A text begins with a piece, whatever is before it. `digits`: each is cut out first."""
    starts: list[int] = []
    for text in texts:
        decoded = text.decode("utf-8", "surrogateescape")
        parts = regex.split(r"(\p{N})", decoded) if digits else [decoded]
        for number, part in enumerate(parts):
            for piece in [part] if number % 2 else _RULE.findall(part):
                starts += [1] + [0] * (len(piece.encode("utf-8", "surrogateescape")) - 1)
    return np.array(starts, np.uint8)
