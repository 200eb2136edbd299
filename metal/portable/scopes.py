"""Namespaces by token: a program's global scope is OpenCL's `namespace metal`, and a kernel's copy stands in its template's."""

from __future__ import annotations

from .lexer import Cursor, Token

# names that may stand before a `::` that begins a name; any other is a part of the name
_AHEAD = {"return", "void", "else", "kernel", "const", "constexpr", "static", "inline", "volatile", "typename", "case"}
_AHEAD |= {"device", "constant", "threadgroup", "thread", "half", "float", "bool", "size_t"}
_AHEAD |= {f"{u}{name}" for u in ("", "u") for name in ("char", "short", "int", "long")}


def from_outside(tokens: list[Token]) -> list[Token]:
    """The tokens with `::metal::` for a `::` that begins a name."""
    c, out = Cursor(tokens), []
    for i, token in enumerate(tokens):
        out.append(token)
        if token.text == "::" and c.text(c.after(i)) != "metal" and _begins(c, c.before(i)):
            out += [Token("name", "metal", token.start), token]
    return out


def _begins(c: Cursor, before: int) -> bool:
    """Whether a `::` behind token `before` begins a name."""
    text = c.text(before)
    if text == ")":
        return c.text(c.before(c.opening(before))) != "decltype"
    return text in _AHEAD or (c.tokens[max(before, 0)].kind != "name" and text not in (">", "]"))


class Namespaces:
    """Which namespaces are open at a token."""

    def __init__(self, tokens: list[Token]):
        c = Cursor(tokens)
        self._known: list[tuple[int, int, str]] = []  # first and last token, name
        for i, token in enumerate(tokens):
            if token.text != "namespace" or token.kind != "name":
                continue
            brace = c.after(i)
            while brace < len(tokens) and (tokens[brace].kind == "name" or c.text(brace) == "::"):
                brace = c.after(brace)
            if c.text(brace) == "{":
                self._known.append((brace, c.match(brace), "".join(c.text(j) for j in range(c.after(i), brace)).strip()))

    def at(self, i: int) -> list[str]:
        """Their names, the outermost first; a program's own part of namespace metal is the program."""
        found = [name for first, last, name in self._known if first < i < last]
        return found[1:] if found[:1] == ["metal"] else found
