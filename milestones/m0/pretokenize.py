"""Pre-tokenization: where a text is cut before byte-pair encoding, which never merges across a cut. On the host, by `regex`.

The patterns are those that the tokenizers were trained with: GPT-2's (Radford et al., 2019: contractions, words with the space
before them, numbers, the rest, white space), and SmolLM's, which first cuts out every digit.
"""

from __future__ import annotations

import regex

_GPT2 = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
_DIGIT = regex.compile(r"(\p{N})")


def pretokenize(text: str, kind: str) -> list[str]:
    """The pieces of `text`, which joined give it back. `kind`: "smollm", or "gpt-2" (also called "default").

    >>> pretokenize("I'm 42 today", "smollm")
    ['I', "'m", ' ', '4', '2', ' today']
    >>> pretokenize("I'm 42 today", "gpt-2")
    ['I', "'m", ' 42', ' today']
    """
    if kind != "smollm":
        return _GPT2.findall(text)
    pieces: list[str] = []
    for index, part in enumerate(_DIGIT.split(text)):
        pieces += [part] if index % 2 else _GPT2.findall(part)
    return pieces
