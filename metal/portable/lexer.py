"""Metal source as a flat list of tokens, nothing lost: joining the texts gives the source back.

The surface of Metal that OpenCL lacks (attributes in [[ ]], vector constructors, kernel signatures) is local, so a
token list is enough to rewrite it. Everything that needs types is asked of libclang afterwards (see frontend.py).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Token(NamedTuple):
    kind: str  # space, comment, directive, string, number, name, punct
    text: str
    start: int  # offset in the source, in characters

    @property
    def end(self) -> int:
        return self.start + len(self.text)


_PATTERN = re.compile(
    r"""
      (?P<comment>   //(?:[^\n\\]|\\.|\\\n)* | /\*.*?(?:\*/|\Z) )
    | (?P<directive> ^[ \t]*\#(?:[^\n\\/]|\\.|\\\n|/(?![/*])|/\*.*?(?:\*/|\Z))* )
    | (?P<space>     \n(?=[ \t]*\#) | (?:[^\S\n]+|\\\r?\n|\n(?![ \t]*\#))+ )
    | (?P<string>    "(?:[^"\\\n]|\\.)*"? | '(?:[^'\\\n]|\\.)*'? )
    | (?P<number>    \.?[0-9](?:[eEpP][+-]|'(?=[0-9A-Za-z])|[0-9A-Za-z_.])* )
    | (?P<name>      [A-Za-z_][A-Za-z0-9_]* )
    | (?P<punct>     \.\.\. | \#\# | \[\[ | :: | -> | \+\+ | -- | <<= | >>= | [-+*/%&|^<>=!]= | && | \|\| | << | . )
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_NO_DIRECTIVES = re.compile(re.sub(r"\| \(\?P<directive>.*", "", _PATTERN.pattern), _PATTERN.flags)
_BLANK = {"space", "comment", "directive"}  # a directive, #line say, may stand between any two tokens
_CLOSE = {"(": ")", "[": "]", "{": "}", "[[": "]]"}


def tokenize(source: str, *, directives: bool = True) -> list[Token]:
    """Split `source` into tokens. Never fails: a character that fits nothing is a punctuation token of its own.

    Without `directives`, a line that begins with # is none: in a macro's body, it may be the operator.
    """
    pattern = _PATTERN if directives else _NO_DIRECTIVES
    return [Token(m.lastgroup or "punct", m.group(), m.start()) for m in pattern.finditer(source)]


def trimmed(tokens: list[Token]) -> list[Token]:
    """The tokens without comments and directives, and without white space at either end."""
    kept = [t for t in tokens if t.kind not in ("comment", "directive")]
    while kept and kept[0].kind == "space":
        kept = kept[1:]
    while kept and kept[-1].kind == "space":
        kept = kept[:-1]
    return kept


class Cursor:
    """A place in a token list that skips white space, comments and directives."""

    def __init__(self, tokens: list[Token]):
        self.tokens = tokens

    def skip(self, i: int, step: int = 1) -> int:
        """The first index from `i` on (or back, with step −1) that holds no white space, comment or directive."""
        while 0 <= i < len(self.tokens) and self.tokens[i].kind in _BLANK:
            i += step
        return i

    def text(self, i: int) -> str:
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ""

    def after(self, i: int) -> int:
        return self.skip(i + 1)

    def before(self, i: int) -> int:
        return self.skip(i - 1, -1)

    def match(self, i: int) -> int:
        """The index of the bracket that closes the one at `i`; the end of the list if none does.

        `[[` closes at its second `]`, so that `a[b[i]]` and `[[buffer(0)]]` are told apart by how they open.
        """
        opener = self.text(i)
        stack = [opener]
        while stack and i + 1 < len(self.tokens):
            i += 1
            text = self.text(i)
            if self.tokens[i].kind != "punct":
                continue
            if text in _CLOSE:
                stack.append(text)
            elif text == "]" and stack[-1] == "[[":
                # the two closing brackets are separate tokens; the pair ends at the second
                stack[-1] = "["
            elif text in (")", "]", "}"):
                stack.pop()
        return i if not stack else len(self.tokens)

    def opening(self, i: int) -> int:
        """The index of the `(` that the `)` at `i` closes."""
        depth = 0
        while i >= 0:
            depth += {")": 1, "(": -1}.get(self.text(i), 0)
            if depth == 0:
                break
            i -= 1
        return i

    def match_angle(self, i: int) -> int:
        """The index of the `>` that closes the `<` at `i` (template lists; shifts inside parentheses are skipped)."""
        depth = 0
        while i < len(self.tokens):
            text = self.text(i)
            if text in ("(", "[", "{", "[["):
                i = self.match(i)
            elif text == "<":
                depth += 1
            elif text == ">":
                depth -= 1
                if depth == 0:
                    return i
            elif text in (";", "{"):
                break
            i += 1
        return len(self.tokens)

    def split(self, start: int, end: int, angles: bool = True) -> list[tuple[int, int]]:
        """Token ranges [a, b) between top-level commas of [start, end)."""
        parts, depth, i, first = [], 0, start, start
        while i < end:
            text = self.text(i)
            if text in _CLOSE:
                i = self.match(i)
            elif angles and text == "<":
                depth += 1
            elif angles and text == ">":
                depth -= 1
            elif text == "," and depth == 0:
                parts.append((first, i))
                first = i + 1
            i += 1
        if any(self.tokens[j].kind not in _BLANK for j in range(first, min(end, len(self.tokens)))):
            parts.append((first, end))
        return parts
