"""What pretokenize gives if it is written with a known mistake. `(texts, digits)` → 1 where a piece begins, uint8."""

from collections.abc import Callable, Sequence

import numpy as np
import regex

from reference.pretokenize import pretokenize

_RULE = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def _by(rule: str, *, flags: int = 0, error: str = "surrogateescape") -> Callable:
    """Cut by another rule."""

    def mistake(texts: Sequence[bytes], digits: bool) -> np.ndarray:
        starts: list[int] = []
        for text in texts:
            decoded = text.decode("utf-8", error)
            for number, part in enumerate(regex.split(r"(\p{N})", decoded) if digits else [decoded]):
                for piece in [part] if number % 2 else regex.findall(rule, part, flags):
                    starts += [1] + [0] * (len(piece.encode("utf-8", "surrogateescape")) - 1)
        return np.array(starts, np.uint8)

    return mistake


RIGHT = pretokenize
MISTAKES: dict[str, Callable] = {
    "the texts cut as if they were one: does a piece begin where BREAK is set?": lambda texts, digits: pretokenize(
        [b"".join(texts)], digits
    ),
    "the cuts with digits taken the other way: is args.digits asked?": lambda texts, digits: pretokenize(texts, not digits),
    "words without the space before them": _by(_RULE.replace(" ?", "")),
    "white space as one piece up to the next word: the last space goes with the word": _by(_RULE.replace(r"|\s+(?!\S)", "")),
    "no contractions: 's is cut like any sign and word": _by(_RULE[_RULE.index(" ?") :]),
    "contractions in capitals too": _by(_RULE.replace("'s|'t|'re|'ve|'m|'ll|'d", "(?i:'s|'t|'re|'ve|'m|'ll|'d)")),
    "numbers and letters as one class": _by(_RULE.replace(r" ?\p{L}+| ?\p{N}+", r" ?[\p{L}\p{N}]+")),
    "letters of ASCII only: is the character's code point put together?": _by(
        _RULE.replace(r"\p{L}", "A-Za-z").replace(" ?A-Za-z+", " ?[A-Za-z]+")
    ),
}
