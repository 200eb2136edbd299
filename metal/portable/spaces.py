"""Address spaces that Metal fills in and Clang's OpenCL does not: where libclang finds no function that fits, mended there.

* A value binds to a parameter `thread const T &` in Metal; to Clang it lies in no address space. The argument `x + 1` becomes
  `fl_temporary(x + 1)`. A variable is left alone: one in device memory does not fit in Metal either.
* In a method that names no address space `this` is the thread's in Metal; to Clang it may be anywhere (`__generic`). A member
  that goes where the thread's is wanted becomes `fl_thread(member)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .lexer import Cursor, Token, tokenize

Span = tuple[int, int]
_NO_FIT = re.compile(r"no matching|no viable overloaded|invalid operands to binary expression")
_BINDS = re.compile(r"(?:binding )?reference of type '([^']*)'.* (?:changes|because of) address space")
_OBJECT = re.compile(r"cannot initialize object parameter of type 'const __private [^']*' with an expression of type '(?!.*__)")
_GENERIC = re.compile(r"__generic.*__private|__private.*__generic")
_VECTOR = re.compile(r"(unsigned )?(\w+) .*ext_vector_type\((\d)\).*")
_COMPONENT = re.compile(r"(\.|->)[xyzwrgba]{1,4}[)\s]*$")
_LOOK = 4000  # bytes in which a list of arguments or parameters ends


def spaces(diagnostic: Any, raw: bytes, file: str) -> Iterator[tuple[Span, str]]:
    """(range, what to write in front of it) for each expression that this error is about."""
    ranges = [(r.start.offset, r.end.offset) for r in diagnostic.ranges]
    message = diagnostic.spelling
    if _NO_FIT.match(message):
        arguments = _arguments(message, ranges, diagnostic.location.offset, raw)
        for note in diagnostic.children:
            if _GENERIC.search(note.spelling):
                yield from _members(note.spelling, ranges, arguments, raw)
            elif note.location.file and note.location.file.name == file and "candidate" in note.spelling:
                yield from _values(arguments, _list(raw, note.location.offset), raw)
    elif ranges and _GENERIC.search(message):
        implied = message.startswith("cannot initialize object parameter") and raw[ranges[0][1] : ranges[0][1] + 1] not in b".-"
        yield ((ranges[0][0], ranges[0][0]), "fl_thread(*this).") if implied else (ranges[-1], "fl_thread(")
    elif ranges and _OBJECT.match(message):
        yield ranges[0], "fl_temporary("
    elif ranges and (found := _BINDS.match(message)) and any("passing argument" in n.spelling for n in diagnostic.children):
        kind = re.sub(r"\b(const|__private)\b|&", "", found[1]).strip()
        kind = _VECTOR.sub(lambda m: ("u" if m[1] else "") + m[2] + m[3], kind)
        yield ranges[0], f"fl_temporary<{kind}>("


def _values(arguments: list[Span], parameters: list[Span], raw: bytes) -> Iterator[tuple[Span, str]]:
    for (a, b), (c, d) in zip(arguments[-len(parameters) :], parameters, strict=False):  # a method's left side is `this`
        words, value = " ".join(_text(raw, c, d).split()), _text(raw, a, b)
        if words.startswith(("const thread", "thread const")) and "&" in words and not _is_variable(value):
            yield (a, b), "fl_temporary(fl_copy(" if _COMPONENT.search(value) else "fl_temporary("


def _members(note: str, ranges: list[Span], arguments: list[Span], raw: bytes) -> Iterator[tuple[Span, str]]:
    if "'this' object" in note and ranges:
        start, end = ranges[0]
        dot = re.search(rb"(->|\.)[^.>]*$", raw[start:end])
        if dot is None:
            yield (start, start), "fl_thread(*this)."
        elif dot[1] == b".":
            yield (start, start + dot.start()), "fl_thread("
    elif found := re.search(r"cannot (?:bind|pass).* in (\d+)\w+ argument", note):
        yield from ((argument, "fl_thread(") for argument in arguments[int(found[1]) - 1 : int(found[1])])
    elif "template ignored" in note:  # it does not say which
        for a, b in arguments:
            if _is_variable(_text(raw, a, b).lstrip("&")):
                yield (a, b), "fl_thread("


def _arguments(message: str, ranges: list[Span], at: int, raw: bytes) -> list[Span]:
    """Where the arguments of a call stand, or the operands of an operator, that nothing fits."""
    if not message.startswith("no matching"):
        return ranges
    called = message.startswith(("no matching function", "no matching member")) and ranges
    return _list(raw, ranges[0][1] if called else at)


def _list(raw: bytes, start: int) -> list[Span]:
    """What stands between commas in the first parentheses from `start` on."""
    text = _text(raw, start, start + _LOOK)
    c = Cursor(tokenize(text))
    opening = next((i for i, token in enumerate(c.tokens) if token.text == "("), None)
    if opening is None:
        return []
    parts = [_trim(c.tokens, a, b) for a, b in c.split(opening + 1, c.match(opening), angles=False)]
    return [(start + len(text[:a].encode()), start + len(text[:b].encode())) for a, b in parts]


def _text(raw: bytes, start: int, end: int) -> str:
    return raw[start:end].decode(errors="replace")


def _trim(tokens: list[Token], a: int, b: int) -> Span:
    while a < b and tokens[a].kind == "space":
        a += 1
    while a < b and tokens[b - 1].kind == "space":
        b -= 1
    return tokens[a].start, tokens[b - 1].end


def _is_variable(text: str) -> bool:
    """Whether an expression names a place in memory: names, members and elements. Components of a vector (v.xy) are none."""
    if not re.fullmatch(r"[*(\s]*[A-Za-z_][\w\s.:]*(?:(?:->|\[[^()]*\]|\.)[\w\s.]*)*[)\s]*", text):
        return False
    return not _COMPONENT.search(text) and text not in ("true", "false")
