"""Threadgroup variables of inner blocks. OpenCL takes them at a kernel's outermost level only: they move in front of the
outermost statement that they stand in. One that would meet a namesake there gets a name of its own.
"""

from __future__ import annotations

from .lexer import Cursor, Token

Place = tuple[int, int, int]  # a declaration: its first token, the one behind it, the end of its block
_OPENING = ("(", "[", "[[")


def hoist(tokens: list[Token], begin: int) -> list[Token]:
    """The tokens of a kernel's body from `begin` on, with those declarations moved; what stands before stays."""
    c, blocks, statement = Cursor(tokens), list[int](), begin
    constants = dict[str, Place]()  # of inner blocks: sizes of threadgroup arrays, which move along
    moved: dict[int, list[Place]] = {}  # before which token
    i = begin
    while i < len(tokens):
        text = tokens[i].text if tokens[i].kind in ("punct", "name") else ""
        if text == "{":
            blocks.append(i)
        elif text == "}" and blocks:
            blocks.pop()
        elif blocks and text in ("threadgroup", "constexpr", "const", "static") and c.text(c.before(i)) in ("{", "}", ";"):
            end = _head_end(c, i)
            if text == "threadgroup" and c.text(end) == ";":
                place = i, end + 1, c.match(blocks[-1])
                moved.setdefault(statement, []).extend(p for p in _with_sizes(c, place, constants) if p not in moved[statement])
            elif text != "threadgroup" and c.text(end) == "=":
                last = next((j for j in range(end, len(tokens)) if tokens[j].text == ";"), end)
                constants[c.text(c.before(end))] = i, last + 1, c.match(blocks[-1])
        if not blocks and text in (";", "}") and c.text(c.after(i)) not in ("else", "while"):
            statement = i + 1
        i = c.match(i) + 1 if text in _OPENING else i + 1
    return _rearranged(c, tokens, moved) if moved else tokens


def _head_end(c: Cursor, i: int) -> int:
    """Where a declaration from `i` on comes to its end, a value, a pointer or parentheses. Sizes in [ ] are skipped."""
    while i < len(c.tokens) and c.text(i) not in (";", "=", "*", "&", "(", "{", "}"):
        i = c.match(i) + 1 if c.text(i) == "[" else i + 1
    return i


def _with_sizes(c: Cursor, place: Place, constants: dict[str, Place]) -> list[Place]:
    """A declaration behind those of the constants that it names."""
    named = (constants.get(c.text(j)) for j in range(place[0], place[1]))
    found = [q for other in named if other is not None and other != place for q in _with_sizes(c, other, constants)]
    return [*dict.fromkeys(found), place]


def _rearranged(c: Cursor, tokens: list[Token], moved: dict[int, list[Place]]) -> list[Token]:
    tokens, taken, out, copied = list(tokens), set[int](), list[Token](), 0
    for first, end, last in (place for places in moved.values() for place in places):
        taken |= set(range(first, end))
        for name in _names(c, first, end):
            if any(t.text == name and t.kind == "name" for j, t in enumerate(tokens) if not first <= j < last):
                for j in range(first, last):
                    if tokens[j].text == name and c.text(c.before(j)) not in (".", "->", "::"):
                        tokens[j] = tokens[j]._replace(text=f"fl_inner{first}_{name}")
    for at, places in sorted(moved.items()):
        out += [t for j, t in enumerate(tokens[copied:at], copied) if j not in taken]
        out += [t for first, end, _ in places for t in tokens[first:end]]
        copied = at
    return out + [t for j, t in enumerate(tokens[copied:], copied) if j not in taken]


def _names(c: Cursor, first: int, end: int) -> list[str]:
    """The names that a declaration such as `threadgroup float a[2], b;` gives."""
    parts = c.split(first, end - 1)
    names = []
    for a, b in parts:
        bracket = next((j for j in range(a, b) if c.text(j) in ("[", "[[", "=")), b)
        names.append(c.text(c.skip(bracket - 1, -1)))
    return names
