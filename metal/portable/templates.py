"""A template's arguments in place of its parameters: OpenCL's kernels may not be templates, so each instantiation is a copy."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .lexer import Cursor, Token, tokenize, trimmed

_NO_TYPE = {"typename", "class", "auto", "template"}  # before a parameter's name: its arguments are not converted


class Arguments:
    """What each parameter of a template stands for in one instantiation."""

    def __init__(self) -> None:
        self._words: dict[str, list[Token]] = {}
        self._typed: dict[str, list[Token]] = {}  # the same as an expression of the parameter's type: 4 for a uint is not 4

    def bind(self, name: str, kind: list[Token], words: list[Token]) -> None:
        """`words` for a parameter, declared as `kind name`, in which earlier parameters may stand."""
        words = self.within(words, typed=False)
        self._words[name] = self._typed[name] = words
        if len(words) != 1 and not _is_type(words):
            self._words[name] = self._typed[name] = _round(words)
        if kind and not any(t.text in _NO_TYPE for t in kind):
            self._typed[name] = _round([*_round(self.within(kind)), *_round(words)])

    def spelled(self, stands_for: Mapping[str, str]) -> list[str]:
        return ["".join(stands_for.get(t.text, t.text) for t in _bare(words)) for words in self._words.values()]

    def within(self, tokens: list[Token], *, typed: bool = True) -> list[Token]:
        """The tokens with each parameter's argument in its place; whole numbers without their type unless `typed`."""
        if not self._words:
            return tokens
        out: list[Token] = []
        values, previous = self._typed if typed else self._words, ""
        for token in tokens:
            value = values.get(token.text) if token.kind == "name" and previous not in (".", "->", "::") else None
            if token.kind == "directive":  # #pragma unroll(N)
                text = re.sub(r"[A-Za-z_]\w*", lambda m: "".join(t.text for t in self._words.get(m[0], [])) or m[0], token.text)
                out.append(Token("directive", text, token.start))
            else:
                out += [token] if value is None else value
            if token.kind not in ("space", "comment"):
                previous = token.text
        return out

    def text(self, source: str) -> str:
        """The same for an attribute's argument, which is read as a number."""
        return "".join(t.text for t in self.within(tokenize(source), typed=False))


def parameter(c: Cursor, a: int, b: int) -> tuple[str, list[Token], list[Token] | None]:
    """(name, what it is, default) of a template parameter: `typename T`, `int N = 2`."""
    default, end = None, b
    for i in range(a, b):
        if c.text(i) == "=":
            default, end = trimmed(c.tokens[i + 1 : b]), i
            break
    name = c.skip(end - 1, -1)
    return c.text(name), trimmed(c.tokens[a:name]), default


def _round(words: list[Token]) -> list[Token]:
    return [Token("punct", "(", words[0].start), *words, Token("punct", ")", words[-1].start)]


def _bare(words: list[Token]) -> list[Token]:
    return words[1:-1] if words and words[0].text == "(" and words[-1].text == ")" else words


def _is_type(tokens: list[Token]) -> bool:
    """Whether a template argument of several tokens is a type (`metal::uchar4`, `vec<T, 4>`, `unsigned int`), not a value."""
    return (
        bool(tokens)
        and tokens[0].kind == "name"
        and all(t.kind in ("name", "space", "number") or t.text in ("<", ">", ",", "::", "*") for t in tokens)
    )
