"""Where a template deduces T or N from `vec<T, N>`: `T sum(vec<T, N> v)`, `struct Scalar<vec<T, 2>>`.

Ours is an alias that looks the type up, so that vec<bool, 2> and vec<bfloat, 2> can be types of our own, and nothing can be
deduced through that. In these places it is written fl_native_vec, OpenCL's own vector of T: bool and bfloat stay out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .lexer import Cursor


def deduced(c: Cursor) -> set[int]:
    """The tokens `vec` from whose arguments a template deduces."""
    found, aliases = set[int](), {"vec": -1}  # a name for one, `template <typename T> using pair = vec<T, 2>;` → its token
    heads = [
        (i, c.match_angle(c.after(i))) for i, t in enumerate(c.tokens) if t.text == "template" and c.text(c.after(i)) == "<"
    ]
    for _, close in heads:
        if c.text(c.after(close)) == "using":
            name = c.after(c.after(close))
            end = next((j for j in range(name, len(c.tokens)) if c.text(j) == ";"), name)
            aliases |= {c.text(name): j for j, _ in _vectors(c, name, end, aliases)}
    for i, close in heads:
        head = c.after(close)
        if c.text(head) in ("struct", "class"):
            angle = c.after(c.after(head))
            if c.text(angle) == "<":
                found |= {j for j, _ in _vectors(c, angle, c.match_angle(angle), aliases)}
            continue
        while c.text(head) not in ("(", "{", ";", "=", "using", ""):  # the function's name and what it gives back
            last = c.match_angle(head) if c.text(head) == "<" else head
            head = c.after(c.match(c.after(head)) if c.text(head) == "__attribute__" else last)
        if c.text(head) == "(":
            parameters = c.split(c.after(i) + 1, close)
            names = {c.text(c.skip(b - 1, -1)) for a, b in parameters if "=" not in _texts(c, a, b)}
            inside = list(_vectors(c, head, c.match(head), aliases))
            within = {j for first, last in inside for j in range(first, last)}
            elsewhere = {c.text(j) for j in range(head, c.match(head)) if j not in within}
            found |= {j for j, last in inside if (names - elsewhere) & _texts(c, j, last)}
    return {j if c.text(j) == "vec" else aliases[c.text(j)] for j in found}


def _vectors(c: Cursor, first: int, last: int, names: Collection[str]) -> Iterator[tuple[int, int]]:
    """Each `vec<…>`, or what stands for one, between two tokens: where it begins and ends."""
    for j in range(first, last):
        if c.text(j) in names and c.text(c.after(j)) == "<":
            yield j, c.match_angle(c.after(j))


def _texts(c: Cursor, a: int, b: int) -> set[str]:
    return {c.text(j) for j in range(a, b)}
