"""Where a Metal file's code is: functions' bodies with their statements, conditions and indices, in tokens.

No parser: it knows the statements that kernels are written in, and raises ValueError at those it does not (do, switch, goto).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from metal.portable.lexer import Cursor, Token, tokenize

_SCALARS = ["char", "short", "int", "long", "uchar", "ushort", "uint", "ulong", "float", "half", "bool", "size_t", "void"]
TYPE = re.compile(rf"(?:{'|'.join(_SCALARS)})[234]?|auto")
SPACES = {"device", "constant", "thread", "threadgroup", "const", "constexpr", "static"}
_BINARY = {"+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "&", "|", "^", "<<", ">>"}
_ASSIGN = {"+=", "-=", "*=", "/=", "%=", "^=", "|=", "&=", "<<=", ">>="}
_LOW = {"=", ",", ";", "{", "}", "?", ":", "return"} | _ASSIGN  # what a condition of ?: can stand behind


@dataclass
class Body:
    """A function's body, as ranges [begin, end) of tokens."""

    begin: int
    end: int
    positions: list[str]  # the thread's positions among its parameters, all uint
    statements: list[tuple[int, int]] = field(default_factory=list)  # that may be removed
    conditions: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list)  # and what they may be replaced with
    indices: list[tuple[int, int]] = field(default_factory=list)  # what stands in [ ], array sizes aside


def code_tokens(source: str) -> list[Token]:
    """The tokens that mean something: an attribute is one token, so is >>, and binary operators are of kind "operator"."""
    all_tokens = tokenize(source)
    cursor, found, i = Cursor(all_tokens), [], 0
    while i < len(all_tokens):
        token, end = all_tokens[i], i
        if token.text == "[[":
            end = cursor.match(i)
            token = Token("attribute", source[token.start : all_tokens[end].end], token.start)
        elif token.text == ">" and i + 1 < len(all_tokens) and all_tokens[i + 1].text == ">":
            end = i + 1  # no template list here ends in two
            token = Token("punct", ">>", token.start)
        if token.kind not in ("space", "comment", "directive"):
            found.append(token)
        i = end + 1
    return [Token("operator", t.text, t.start) if _is_operator(found, i) else t for i, t in enumerate(found)]


def _is_operator(tokens: list[Token], i: int) -> bool:
    text = tokens[i].text
    if tokens[i].kind != "punct" or i == 0:
        return False
    before, first = tokens[i - 1], tokens[i - 2] if i > 1 else tokens[i - 1]
    if text in _ASSIGN:
        return True
    operand = before.kind == "number" or before.text in (")", "]") or (before.kind == "name" and before.text != "return")
    if text not in _BINARY or not operand:
        return False
    if text in ("*", "&") and before.kind == "name" and (first.text in SPACES or TYPE.fullmatch(before.text)):
        return False  # a pointer's or a reference's declaration
    if text == "<" and before.text in ("template", "as_type", "static_cast"):
        return False
    return not (text == ">" and _closes_template(tokens, i))


def _closes_template(tokens: list[Token], i: int) -> bool:
    return tokens[i - 2].text == "<" and tokens[i - 3].text in ("as_type", "static_cast")


def fields_of_args(tokens: list[Token]) -> dict[str, str]:
    """name → type of what `struct Args` has."""
    cursor = Cursor(tokens)
    for i in range(len(tokens) - 2):
        if [t.text for t in tokens[i : i + 3]] == ["struct", "Args", "{"]:
            inside = tokens[i + 3 : cursor.match(i + 2)]
            return {inside[k + 1].text: inside[k].text for k in range(0, len(inside) - 1, 3)}
    return {}


def initial_values(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """The ranges of the values that constants at program scope have."""
    cursor, i = Cursor(tokens), 0
    while i < len(tokens):
        if tokens[i].text == "=":
            end = next(k for k in range(i, len(tokens)) if tokens[k].text == ";")
            yield i + 1, end
        i = cursor.match(i) + 1 if tokens[i].text in ("{", "(") else i + 1


def bodies(tokens: list[Token]) -> Iterator[Body]:
    """Every function that has a body, members of structs too."""
    cursor, i = Cursor(tokens), 0
    while i < len(tokens):
        close = i - 1
        while tokens[close].text in SPACES:  # a member's: uint mark(uint j) const thread { … }
            close -= 1
        if tokens[i].text == "{" and tokens[close].text == ")":
            end = cursor.match(i)
            head = tokens[cursor.opening(close) : close]
            named = [k for k, t in enumerate(head) if t.kind == "attribute" and "buffer(" not in t.text]
            body = Body(i + 1, end, [head[k - 1].text for k in named if head[k - 2].text == "uint"])
            _Reader(tokens, body).read()
            yield body
            i = end
        i += 1


class _Reader:
    def __init__(self, tokens: list[Token], body: Body):
        self._tokens, self._body, self._cursor = tokens, body, Cursor(tokens)

    def read(self) -> None:
        body, i = self._body, self._body.begin
        while i < body.end:
            i = self._statement(i)
        if body.statements and body.statements[-1][1] == body.end and self._text(body.statements[-1][0]) == "return":
            body.statements.pop()  # a function's last return cannot go
        for i in range(body.begin, body.end):
            if self._text(i) == "[" and not self._is_size(i):
                body.indices.append((i + 1, self._cursor.match(i)))
            if self._text(i) == "?":
                body.conditions.append((self._before_question(i), i, ("true", "false")))

    def _text(self, i: int) -> str:
        return self._tokens[i].text

    def _statement(self, i: int) -> int:
        """Take the statement that begins at `i`: the index behind it."""
        word = self._text(i)
        if word in ("do", "switch", "goto", "case"):
            raise ValueError(f"mutants of {word!r} are not written yet")
        if word == "{":
            end = self._cursor.match(i)
            i += 1
            while i < end:
                i = self._statement(i)
            return end + 1
        if word == "else":
            return self._statement(i + 1)
        if word in ("if", "while", "for"):
            end = self._cursor.match(i + 1)
            begin, stop = i + 2, end
            if word == "for":
                begin = self._semicolon(i + 2)
                stop = self._semicolon(begin) - 1
            if begin < stop:
                self._body.conditions.append((begin, stop, ("true", "false") if word == "if" else ("false",)))
            return self._statement(end + 1)
        end = self._semicolon(i)
        if word != ";" and not self._declares(i):
            self._body.statements.append((i, end))
        return end

    def _semicolon(self, i: int) -> int:
        """The index behind the next ; that is in no bracket."""
        while self._text(i) != ";":
            i = self._cursor.match(i) if self._text(i) in ("(", "[", "{") else i
            i += 1
        return i + 1

    def _declares(self, i: int) -> bool:
        first, second = self._tokens[i], self._tokens[i + 1]
        if first.text in ("return", "break", "continue"):
            return False
        return first.text in SPACES or (first.kind == "name" and second.kind == "name")

    def _is_size(self, i: int) -> bool:
        """Whether the [ at `i` stands behind a name that is being declared."""
        k = i - 2
        while self._text(k) == "]" or self._text(k) == ",":  # float a[2], b[3]
            k -= 1
            while self._text(k) not in (",", "[", "(", ";", "{", "="):
                k -= 1
            k -= 1 if self._text(k) != "[" else 2
        before = self._tokens[k]
        return bool(TYPE.fullmatch(before.text)) or (before.text == "*" and before.kind == "punct")

    def _before_question(self, i: int) -> int:
        """Where the condition of the ?: at `i` begins."""
        depth = 0
        while True:
            i -= 1
            text = self._text(i)
            if text in (")", "]"):
                depth += 1
            elif text in ("(", "["):
                if depth == 0:
                    return i + 1
                depth -= 1
            elif depth == 0 and text in _LOW:
                return i + 1
