"""The value of a preprocessor's `#if`: whole numbers, every operator of C's constant expressions; a name that is left is 0."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from .lexer import Token

_BINARY: list[dict[str, Callable[[int, int], int]]] = [  # loosest first
    {"||": lambda a, b: int(bool(a or b))},
    {"&&": lambda a, b: int(bool(a and b))},
    {"|": operator.or_},
    {"^": operator.xor},
    {"&": operator.and_},
    {"==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b)},
    {
        "<": lambda a, b: int(a < b),
        ">": lambda a, b: int(a > b),
        "<=": lambda a, b: int(a <= b),
        ">=": lambda a, b: int(a >= b),
    },
    {"<<": lambda a, b: a << min(b, 64), ">>": lambda a, b: a >> min(b, 64)},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.floordiv, "%": operator.mod},
]
_UNARY: dict[str, Callable[[int], int]] = {"!": lambda a: int(not a), "-": operator.neg, "+": int, "~": operator.invert}


def evaluate(tokens: list[Token]) -> int:
    """The value of an expression whose macros are expanded. Raises ValueError, in words, if it is none.

    >>> from .lexer import tokenize
    >>> evaluate(tokenize("(230 >= 210 && !0) ? 1 << 2 : UNKNOWN"))
    4
    """
    words = [t.text for t in tokens if t.kind not in ("space", "comment", "directive")]
    try:
        value, at = _ternary(words, 0)
    except RecursionError:
        raise ValueError("the expression is nested too deep") from None
    if at != len(words):
        raise ValueError(f"'{words[at]}' is out of place")
    return value


def _ternary(words: list[str], at: int) -> tuple[int, int]:
    value, at = _binary(words, at, 0)
    if at < len(words) and words[at] == "?":
        yes, at = _ternary(words, at + 1)
        if at >= len(words) or words[at] != ":":
            raise ValueError("':' is missing")
        no, at = _ternary(words, at + 1)
        value = yes if value else no
    return value, at


def _binary(words: list[str], at: int, level: int) -> tuple[int, int]:
    if level == len(_BINARY):
        return _operand(words, at)
    left, at = _binary(words, at, level + 1)
    while True:
        word = words[at] if at < len(words) else ""
        if word in ("<", ">") and words[at : at + 2] == [word, word]:  # the lexer leaves >> apart, for templates' sake
            word += word
        if word not in _BINARY[level]:
            return left, at
        right, at = _binary(words, at + (2 if words[at] != word else 1), level + 1)
        try:
            left = _BINARY[level][word](left, right)
        except (ZeroDivisionError, ValueError, OverflowError):
            raise ValueError(f"{left} {word} {right} has no value") from None


def _operand(words: list[str], at: int) -> tuple[int, int]:
    if at >= len(words):
        raise ValueError("an expression is missing")
    word = words[at]
    if word in _UNARY:
        value, at = _operand(words, at + 1)
        return _UNARY[word](value), at
    if word == "(":
        value, at = _ternary(words, at + 1)
        if at >= len(words) or words[at] != ")":
            raise ValueError("')' is missing")
        return value, at + 1
    if re.match(r"\d", word):
        try:
            return int(re.sub(r"[uUlL]+$", "", word).replace("'", "") or "0", 0), at + 1
        except ValueError:
            if re.fullmatch(r"0[0-7]+", word):
                return int(word, 8), at + 1
            raise ValueError(f"'{word}' is no whole number") from None
    if re.match(r"[A-Za-z_]", word):
        if at + 1 < len(words) and words[at + 1] == "(":
            raise ValueError(f"'{word}' is not a macro that can be called")
        return {"true": 1}.get(word, 0), at + 1
    raise ValueError(f"'{word}' is out of place")
