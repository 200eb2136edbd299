"""Values without a name, which are in thread memory in Metal and nowhere to OpenCL: `Op()(x)`, `float(Box(1))`, `Box(1) + 2`.

A method that says `thread` does not fit them, be it called or a conversion: they become `fl_here(Op())(x)`. What such values
bind to is spaces.py's. Two more that fit nowhere: braces that are a vector argument get its type, `f((uint3{x, y, z}))`, and a
text may go where a `constant char *` is asked for.
"""

from __future__ import annotations

import re

from .lexer import Cursor, tokenize
from .lowered import Wrap

_NOWHERE = r"(?!.*__(?:global|local|constant|private|generic)\b)"  # the type that follows names no address space
_OBJECT = re.compile(
    rf"cannot initialize object parameter of type '(?:const )?__private .*' with an expression of type '{_NOWHERE}"
)
_VALUE = re.compile(
    rf"no (?:viable|matching) conversion (?:for .* )?from '{_NOWHERE}|assigning to '.*' from incompatible type '{_NOWHERE}"
)
_NOTE = "'this' object is in default address space"
_BRACES = re.compile(r"cannot convert initializer list argument to '(?:const )?__private (?:const )?(\w+)' \(vector of")
_CLASS = re.compile(rf"'{_NOWHERE}(?!(?:unsigned )?(?:bool|char|short|int|long|half|float)\b)")
_POINTER = re.compile(r"'[^']*\*__private'")
_LITERAL = re.compile(r"(?:from|of type) 'const __constant char\[")
_HEAD = "fl_here("


def wrappings(diagnostic, raw: bytes) -> list[Wrap]:
    """What to write in front of each value that this error is about. `raw` is what libclang read."""
    message = diagnostic.spelling
    ranges = [(r.start.offset, r.end.offset) for r in diagnostic.ranges]
    notes = [note.spelling for note in diagnostic.children]
    if not ranges:
        return []
    values, heads = ranges[-1:], {"": "", "{": ""}  # by how a value begins: what to write in front of it
    if message.startswith(("no matching function for call to", "no matching member function for call to")):
        values = _arguments(raw, ranges[0][1])
        kinds = [kind[1] for note in notes if (kind := _BRACES.search(note))]
        heads |= {"{": f"({kinds[0]}"} if kinds else {}
    elif message.startswith("no matching constructor for initialization of"):
        values = _split(raw, *ranges[0])
    elif message.startswith("invalid operands to binary expression") and len(ranges) == 2:
        return _operands(message, raw, ranges, any(_NOTE in note for note in notes))
    if any(_LITERAL.search(text) for text in (message, *notes)):
        heads['"'] = "(constant char *)("
    if _OBJECT.match(message) or _VALUE.match(message):
        heads[""] = _HEAD
    found = [(a, b, heads.get(raw[a : a + 1].decode(errors="replace"), heads[""])) for a, b in values if b > a]
    return [(a, b, head) for a, b, head in found if head and not _tried(raw[a:b])]


def _tried(value: bytes) -> bool:
    """Whether something stands around all of the value already."""
    if not value.startswith((b"fl_here", b"(constant char *)(", b"(long)(")):
        return False
    tokens = tokenize(value.decode("latin-1"))
    opening = next((i for i, t in enumerate(tokens) if t.text == "(" and i), 0)
    return Cursor(tokens).match(opening) == len(tokens) - 1


def _operands(message: str, raw: bytes, ranges: list[tuple[int, int]], noted: bool) -> list[Wrap]:
    """The operands without a name; and `pointer += x` where x is a class that turns into a number by itself."""
    left, _, right = message[message.index("(") + 1 :].partition(" and ")
    found = []
    for (a, b), kind in zip(ranges, (left, right), strict=True):
        tried = _tried(raw[a:b])
        if not tried and (noted or _CLASS.match(kind)):
            found.append((a, b, _HEAD))
        elif not tried and kind == right and _POINTER.match(left) and b"=" in raw[ranges[0][1] : a]:
            found.append((a, b, "(long)("))
    return found


def _arguments(raw: bytes, behind: int) -> list[tuple[int, int]]:
    """Where each argument begins and ends in the call of the function whose name ends at `behind`."""
    tokens = tokenize(raw[behind : behind + 4000].decode("latin-1"))  # a character a byte
    c = Cursor(tokens)
    opening = c.skip(0)
    if c.text(opening) == "<":
        opening = c.after(c.match_angle(opening))
    if c.text(opening) != "(" or c.match(opening) >= len(tokens):
        return []
    return _split(raw, behind + tokens[opening].end, behind + tokens[c.match(opening)].start)


def _split(raw: bytes, start: int, end: int) -> list[tuple[int, int]]:
    tokens = tokenize(raw[start:end].decode("latin-1"))
    c = Cursor(tokens)
    parts = [(c.skip(a), c.skip(b - 1, -1)) for a, b in c.split(0, len(tokens))]
    return [(start + tokens[a].start, start + tokens[b].end) for a, b in parts if a <= b]
