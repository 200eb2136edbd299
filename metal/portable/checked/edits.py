"""Text put into a translated program, around pieces of it and between them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clang.cindex import Cursor

from ..lowered import PROLOGUE, Lowered


@dataclass
class Site:
    """A place in the source that a finding may name; `root` is the kernel's parameter that the access begins at, if seen."""

    file: str
    line: int
    column: int
    source: str
    text: str
    root: str = ""


class Edits:
    """What is to be put into `lowered`, and the places in the source that it speaks of."""

    def __init__(self, lowered: Lowered):
        self.lowered, self.text = lowered, PROLOGUE + lowered.text
        self.sites: list[Site] = []
        self._raw, self._ascii = self.text.encode(), self.text.isascii()
        self._wraps: list[tuple[int, int, int, str, str]] = []  # start, −end, −rank, text before, text behind
        self._points: dict[int, str] = {}

    def _at(self, offset: int) -> int:
        """libclang counts bytes, we count characters."""
        return offset if self._ascii else len(self._raw[:offset].decode(errors="ignore"))

    def _span(self, node: Cursor) -> tuple[int, int]:
        return self._at(node.extent.start.offset), self._at(node.extent.end.offset)

    def _words(self, node: Cursor) -> str:
        a, b = self._span(node)
        return self.text[a:b]

    def _point(self, at: int, text: str) -> None:
        """Text at an offset, behind what ends there."""
        self._points[at] = self._points.get(at, "") + text

    def _wrap(self, node: Cursor | tuple[int, int], before: str, after: str, rank: int = 0) -> None:
        """Text around a node; of two around the same text, the one of higher rank is the outer."""
        a, b = node if isinstance(node, tuple) else self._span(node)
        self._wraps.append((a, -b, -rank, before, after))

    def _apply(self) -> None:
        """Put everything in."""
        opens: dict[int, str] = {}
        closes: dict[int, str] = {}
        for a, b, _, before, after in sorted(self._wraps):  # the outer before the inner
            opens[a] = opens.get(a, "") + before
            closes[-b] = after + closes.get(-b, "")
        texts = {}
        for at in {*opens, *closes, *self._points}:
            texts[at - len(PROLOGUE)] = closes.get(at, "") + self._points.get(at, "") + opens.get(at, "")
        self.lowered.insert_all(texts)

    def _site(self, node: Cursor | tuple[int, int], root: str = "") -> int:
        a, b = node if isinstance(node, tuple) else self._span(node)
        offset = self.lowered.origin(a - len(PROLOGUE))
        text = re.sub(r"\bfl_construct<([^<>]+)>", r"\1", " ".join(self.text[a:b].split()))
        self.sites.append(Site(*self.lowered.where.locate(offset), text if len(text) < 60 else text[:57] + "…", root))
        return len(self.sites) - 1
