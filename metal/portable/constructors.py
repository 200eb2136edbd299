"""Values made of pieces: `float4(a, b)`, `float4 v(a, b);`. OpenCL's vectors have no constructors: they are mended by the text
around, by which names may be vector types.
"""

from __future__ import annotations

import re

from .deduction import deduced
from .errors import SourceMap
from .lexer import Token
from .parameters import ADDRESS_SPACES, Parameters
from .strict import VECTORS

_SCALARS = {base.rstrip("2") for base in VECTORS if base.endswith("2")} | {"bfloat", "size_t", "void"}
_BFLOAT = re.compile(r"((?!0[xX])[0-9.](?:[eE][+-]|[\w.])*?)[bB][fF]")  # 1.5bf; as hexadecimal, 0x1bf is a whole number

_FLOAT = re.compile(
    r"(?!0[xX])(?:[\d']*\.[\d']*(?:[eE][+-]?\d+)?|[\d']+[eE][+-]?\d+)|0[xX][\da-fA-F'.]+[pP][+-]?\d+"
)  # no suffix


class Constructors(Parameters):
    """The part of the translation that makes vectors from pieces. `_copy` puts `before` in front of its tokens."""

    def __init__(self, where: SourceMap, tokens: list[Token]):
        super().__init__(where, tokens)
        self.types = VECTORS | {"vec"} | {f"{prefix}_{name}" for name in VECTORS for prefix in ("vector", "simd")}
        self.deduced = set[int]()
        self.before: dict[int, str] = {}

    def _collect_type_names(self) -> None:
        """Names that may turn out to be vector types: template type parameters, typedefs and aliases."""
        c = self.c
        self.deduced = deduced(c)
        for i, token in enumerate(self.tokens):
            if token.kind != "name":
                continue
            if (token.text in ("typename", "class") and c.text(c.before(i)) in ("<", ",")) or (
                token.text == "using" and c.text(c.after(c.after(i))) == "="
            ):
                self.types.add(c.text(c.after(i)))
            elif token.text == "typedef":
                j = i
                while j < len(self.tokens) and c.text(j) not in (";", "{"):
                    j += 1
                if c.text(j) == ";" and self.tokens[c.before(j)].kind == "name":
                    self.types.add(c.text(c.before(j)))

    def _constructor(self, i: int, end: int) -> int:
        """At a type name: `T(` as an expression becomes `fl_construct<T>(`. Returns the last token dealt with."""
        c, token, last = self.c, self.tokens[i], i
        after = c.after(i)
        if i in self.deduced:
            self.out.put("fl_native_vec", token.start)
            return i
        if token.text == "vec":
            if c.text(after) != "<":
                self.out.put(token.text, token.start, verbatim=True)
                return i
            last = c.match_angle(after)
            after = c.after(last)
        inside = c.after(after)
        declarator = c.text(inside) in ("&", "*") and c.text(c.before(i)) in ADDRESS_SPACES
        if c.text(after) == "(" and after < end and not declarator and c.text(c.before(i)) != "operator":
            self._put_construct(i, last, "fl_construct<", ">")
            return last
        self._put_construct(i, last, "", "")
        self._initialisers(after, f" = fl_construct<{self._source(i, last + 1)}>")
        return last

    def _cast(self, i: int) -> int | None:
        """At a `(` that may begin a cast to a vector type, `(float4)x`: OpenCL would take x's bits. It becomes a construction.

        Returns the last token dealt with, None if it is no such cast.
        """
        c = self.c
        first, before = c.after(i), c.before(i)
        if c.text(first) not in self.types or (before >= 0 and self._ends_operand(before)):
            return None
        last = c.match_angle(c.after(first)) if c.text(first) == "vec" and c.text(c.after(first)) == "<" else first
        close = c.after(last)
        operand = c.after(close)
        if c.text(close) != ")" or not self._begins_operand(operand):
            return None
        end = self._behind_operand(operand)
        self._put_construct(first, last, "fl_construct<", ">(")
        self.before[end] = ")" + self.before.get(end, "")
        return close

    def _ends_operand(self, i: int) -> bool:
        token = self.tokens[i]
        if token.kind == "name":
            return token.text not in ("return", "else", "case")
        return token.kind in ("number", "string") or token.text in (")", "]", "}")

    def _begins_operand(self, i: int) -> bool:
        if i >= len(self.tokens):
            return False
        token = self.tokens[i]
        return token.kind in ("name", "number") or token.text in ("(", "-", "+", "!", "~", "::")

    def _behind_operand(self, i: int) -> int:
        """The token after a unary expression: prefixes, a name, number or parentheses, and what is attached to it."""
        c = self.c
        while c.text(i) in ("-", "+", "!", "~", "*", "&", "++", "--"):
            i = c.after(i)
        while c.text(i) == "(" and c.text(c.after(i)) in self.types and c.text(c.after(c.after(i))) == ")":
            i = c.after(c.after(c.after(i)))  # another cast
        i = c.after(c.match(i) if c.text(i) == "(" else i)
        while c.text(i) in (".", "->", "::", "(", "[", "++", "--", "<"):
            if c.text(i) in ("(", "["):
                i = c.after(c.match(i))
            elif c.text(i) == "<":
                close = self._over(i)
                if close == i:
                    return i
                i = c.after(close)
            else:
                i = c.after(c.after(i)) if c.text(i) in (".", "->", "::") else c.after(i)
        return i

    def _put_construct(self, i: int, last: int, head: str, tail: str) -> None:
        self.out.put(head, self.tokens[i].start)
        for token in self.tokens[i : last + 1]:
            self.out.put(token.text, token.start, verbatim=True)
        self.out.put(tail, self.tokens[i].start)

    def _initialisers(self, first: int, head: str) -> None:
        """After a type's name, put `head` before each `(…)` that gives a variable its value: `float4 v(1, 2, 3, 4), w(0);`."""
        c, end = self.c, first
        while end < len(self.tokens) and c.text(end) not in (";", ")", "]", "}", ":"):
            end = c.after(c.match(end) if c.text(end) in ("(", "[", "{", "[[") else end)
        if c.text(end) != ";":
            return
        for a, b in self._split(first, end):
            name = c.skip(a)
            opening = c.after(name)
            if self.tokens[name].kind != "name" or c.text(name) == "operator" or c.text(opening) != "(":
                continue
            close = c.match(opening)
            arguments = self._split(opening + 1, close)
            if c.after(close) == b and arguments and not any(self._is_parameter(x) for x, _ in arguments):
                self.before[opening] = head

    def _is_parameter(self, a: int) -> bool:
        """Whether a function's parameter starts here: two names in a row (`float x`), or a type by itself."""
        c = self.c
        first = c.skip(a)
        second = c.after(first)
        if self.tokens[first].kind != "name":
            return False
        by_itself = c.text(first) in self.types | _SCALARS and c.text(second) in (",", ")", "&", "*")
        return by_itself or c.text(first) in ADDRESS_SPACES or self.tokens[min(second, len(self.tokens) - 1)].kind == "name"

    def _split(self, start: int, end: int) -> list[tuple[int, int]]:
        """Like Cursor.split, for expressions: `<` may well mean less."""
        parts, i, first = [], start, start
        while i < end:
            if self.c.text(i) == ",":
                parts.append((first, i))
                first = i + 1
            i = self._over(i) + 1
        return [*parts, (first, end)] if self.c.skip(first) < end else parts

    def _over(self, i: int) -> int:
        """The end of what opens at `i`: a bracket, or `<…>` if what follows says it is a template list; else `i` itself."""
        c = self.c
        if c.text(i) in ("(", "[", "{", "[["):
            return c.match(i)
        if c.text(i) == "<" and self.tokens[c.before(i)].kind == "name":
            close = c.match_angle(i)
            if c.text(c.after(close)) in ("(", "{", "::"):
                return close
        return i

    def _pointee(self, a: int, b: int) -> str | None:
        """What a buffer parameter points to, if that may be a template's instance: Pair<float>, or a name for one."""
        c, words, i = self.c, [], self.c.skip(a)
        while c.text(i) == "[[":
            i = c.after(c.match(i))
        while i < b and c.text(i) not in ("*", "&", "[["):
            words.append(c.text(i))
            i = c.after(i)
        if c.text(i) not in ("*", "&"):
            return None
        words = [w for w in words if w not in ADDRESS_SPACES | {"volatile"}]
        return " ".join(words) if "<" in words or (len(words) == 1 and words[0] in self.types - VECTORS) else None


def literal(text: str) -> str:
    """A number as OpenCL is to read it: `1.5bf` as an expression; `1.5` as 1.5f, as Clang makes a double of it in templates."""
    if found := _BFLOAT.fullmatch(text):
        return f"bfloat({found[1]}{'' if re.search('[.eE]', found[1]) else '.0'}f)"
    return f"{text}f" if _FLOAT.fullmatch(text) else text
