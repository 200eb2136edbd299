"""A tree of times, drawn: as lines of text, and as an SVG file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from zlib import crc32

WIDTH, ROW = 1200, 22  # of the SVG, pixels


@dataclass(frozen=True)
class Frame:
    """Something that took `seconds`, and what it is made of, in order."""

    name: str
    seconds: float
    children: tuple[Frame, ...] = ()

    @classmethod
    def of(cls, name: str, children: Sequence[Frame]) -> Frame:
        """A frame that takes as long as its children together."""
        return cls(name, sum(child.seconds for child in children), tuple(children))

    def depth(self) -> int:
        """How many rows it takes."""
        return 1 + max((child.depth() for child in self.children), default=0)

    def placed(self, start: float = 0.0, row: int = 0) -> Iterator[tuple[Frame, float, int]]:
        """Every frame with when it begins and its row, from the outermost in."""
        yield self, start, row
        for child in self.children:
            yield from child.placed(start, row + 1)
            start += child.seconds


def text(frame: Frame, width: int = 100) -> str:
    """A line for each row: frames one after the other, as wide as they took long; the narrowest are nameless."""
    rows = [[" "] * width for _ in range(frame.depth())]
    for found, start, row in frame.placed():
        first, end = (round(at / frame.seconds * width) for at in (start, start + found.seconds))
        name = f"{found.name} {found.seconds * 1e3:.2f} ms" if end - first > len(found.name) + 12 else found.name
        bar = ("|" + name[: max(0, end - first - 1)].ljust(end - first - 1, "·"))[: end - first]
        rows[row][first:end] = bar
    return "\n".join("".join(row).rstrip() for row in rows) + "\n"


def svg(frame: Frame) -> str:
    """The same as an SVG file; a name that has no room is told when one points at the frame."""
    height = frame.depth() * ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(frame.name)}, {frame.seconds * 1e3:.2f} ms</title>",
    ]
    for found, start, row in frame.placed():
        left, wide = (seconds / frame.seconds * WIDTH for seconds in (start, found.seconds))
        told = escape(f"{found.name}: {found.seconds * 1e3:.3f} ms, {found.seconds / frame.seconds:.1%}")
        hue = crc32(found.name.encode()) % 60  # of one name one colour, from red to yellow
        parts.append(
            f'<g><title>{told}</title><rect x="{left:.2f}" y="{row * ROW}" width="{wide:.2f}" height="{ROW - 1}" '
            f'fill="hsl({hue} 75% 75%)" stroke="#ffffff" stroke-width="0.5"/>'
        )
        if wide > 8 * len(found.name):
            parts.append(f'<text x="{left + 4:.2f}" y="{row * ROW + 15}" fill="#222222">{escape(found.name)}</text>')
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"
