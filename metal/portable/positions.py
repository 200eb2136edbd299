"""Positions named once for the whole program, Metal 3.1's other way to them: `uint3 at [[thread_position_in_grid]];`."""

from __future__ import annotations

from .parameters import POSITIONS
from .unused import Unused


class Positions(Unused):
    """The part of the translation that deals with them. A name stands for its value, as text, wherever it is read."""

    version: int

    def _program_position(self, i: int, copied: int) -> int | None:
        """`const uint3 at [[thread_position_in_grid]];` outside functions, which Metal has since 3.1: `at` means its value."""
        c, end = self.c, self.c.match(i)
        found = [(name, at) for name, _, at in self._attributes(i) if name in POSITIONS]
        if not found or c.text(c.after(end)) != ";" or not self._outside(i):
            return None
        if self.version < 301:
            version = f"{self.version // 100}.{self.version % 100}"
            self.fail(c.before(i), f"'{found[0][0]}' at program scope came with Metal 3.1; this is compiled as {version}")
        name = first = c.before(i)
        while c.text(c.before(first)) not in ("", ";", "{", "}"):
            first = c.before(first)
        words = [c.text(j) for j in range(first, name) if self.tokens[j].kind in ("name", "punct")]
        kind = " ".join(word for word in words if word not in ("const", "metal", "::"))
        self.positions[c.text(name)] = f"({self._builtin(found[0][0], kind, first, found[0][1])})"
        self._copy(copied, first)
        return c.after(end) + 1

    def _around(self, i: int) -> int:
        """The brace that opens what token `i` stands in; −1 if there is none."""
        depth = 0
        for j in range(i - 1, -1, -1):
            depth += {"}": 1, "{": -1}.get(self.c.text(j), 0)
            if depth < 0:
                return j
        return -1

    def _outside(self, i: int) -> bool:
        """Whether token `i` stands in no braces but namespaces'."""
        while (i := self._around(i)) >= 0:
            if "namespace" not in (self.c.text(self.c.before(i)), self.c.text(self.c.before(self.c.before(i)))):
                return False
        return True

    def _position(self, i: int) -> str:
        """What a name says that stands for a position. A field may have the same name; another variable is refused."""
        c, before = self.c, self.c.before(i)
        if c.text(before) in (".", "->", "::"):
            return self.tokens[i].text
        if before < 0 or self.tokens[before].kind != "name" or c.text(before) in ("return", "else", "case", "do"):
            return self.positions[self.tokens[i].text]
        brace = self._around(i)
        if c.text(c.before(brace)) not in ("struct", "class") and c.text(c.before(c.before(brace))) not in ("struct", "class"):
            self.fail(i, f"'{c.text(i)}' is a position at program scope: another of that name is not supported here")
        return self.tokens[i].text
