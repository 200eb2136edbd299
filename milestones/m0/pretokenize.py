"""Pre-tokenization: where a text is cut before byte-pair encoding, which never merges across a cut. On the host, by `regex`.

The patterns are those that the tokenizers were trained with: GPT-2's (Radford et al., 2019: contractions, words with the space
before them, numbers, the rest, white space); SmolLM's, which first cuts out every digit; Llama 3's and Qwen 2's, where any one
character may stand before a word, digits come in threes or one by one, and line ends belong to what is before them.
"""

from __future__ import annotations

import regex

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LATER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {"gpt-2": GPT2, "llama-bpe": _LATER.format(digits="{1,3}"), "qwen2": _LATER.format(digits="")}
KINDS = ("smollm", "default", *PATTERNS)  # as GGUF files name them

_compiled = {kind: regex.compile(pattern) for kind, pattern in PATTERNS.items()}
_compiled["default"] = _compiled["gpt-2"]
_DIGIT = regex.compile(r"(\p{N})")


def pretokenize(text: str, kind: str) -> list[str]:
    """The pieces of `text`, which joined give it back. `kind`: one of KINDS ("default" is GPT-2's).

    >>> pretokenize("I'm 42 today", "smollm")
    ['I', "'m", ' ', '4', '2', ' today']
    >>> pretokenize("I'm 42 today", "gpt-2")
    ['I', "'m", ' 42', ' today']
    >>> pretokenize("I'M 1234(x)", "llama-bpe")
    ['I', "'M", ' ', '123', '4', '(x', ')']
    """
    if kind != "smollm":
        return _compiled[kind].findall(text)
    pieces: list[str] = []
    for index, part in enumerate(_DIGIT.split(text)):
        pieces += [part] if index % 2 else _compiled["gpt-2"].findall(part)
    return pieces
