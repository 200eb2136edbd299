"""What names stand for, as far as an attribute or a kernel's parameter may ask: whole numbers, and other names of types."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .conditions import evaluate
from .lexer import Cursor, tokenize


def enumerators(c: Cursor) -> Iterator[tuple[str, str]]:
    """(name, value) of each enumerator, and of each `constexpr constant int X = 1;` at that."""
    known = dict[str, str]()
    for i, token in enumerate(c.tokens):
        if token.text == "enum" and token.kind == "name":
            brace = next((j for j in range(i, min(i + 24, len(c.tokens))) if c.text(j) in ("{", ";", "(")), i)
            value = -1
            for a, b in c.split(brace + 1, c.match(brace), angles=False) if c.text(brace) == "{" else []:
                name, _, given = source(c, a, b).partition("=")
                try:
                    words = re.sub(r"\b[A-Za-z_]\w*", lambda m: known.get(m[0], m[0]), given)
                    value = evaluate(tokenize(words)) if given.strip() else value + 1
                except ValueError:
                    continue
                known[name.strip().split("[")[0].strip()] = str(value)
        elif token.text == "=" and c.tokens[c.before(i)].kind == "name" and c.tokens[c.after(i)].kind == "number":
            head = {c.text(j) for j in range(max(0, i - 14), i)}
            if (
                c.text(c.after(c.after(i))) == ";"
                and head & {"constant", "constexpr"}
                and re.fullmatch(r"\d+u?", c.text(c.after(i)))
            ):
                known.setdefault(c.text(c.before(i)), c.text(c.after(i)))
    yield from known.items()


def aliases(c: Cursor) -> Iterator[tuple[str, str]]:
    """(name, type) of `using name = type;` and `typedef type name;` where the type is words only."""
    for i, token in enumerate(c.tokens):
        if token.kind == "name" and token.text in ("using", "typedef"):
            end = next((j for j in range(i, min(i + 16, len(c.tokens))) if c.text(j) == ";"), i)
            words = [c.text(j) for j in range(i + 1, end) if c.tokens[j].kind != "space"]
            if token.text == "using" and words[1:2] == ["="]:
                yield words[0], " ".join(words[2:])
            elif token.text == "typedef" and len(words) > 1:
                yield words[-1], " ".join(words[:-1])


def source(c: Cursor, a: int, b: int) -> str:
    """The text of tokens [a, b) without comments."""
    return "".join(t.text for t in c.tokens[a:b] if t.kind != "comment")
