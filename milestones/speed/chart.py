"""Charts as SVG files: lines over one axis (rates by context length, a benchmark's history), and named points.

Readable on light and on dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0b6e99", "#b3541e", "#3d7a2b", "#7d3c98", "#8a6d00", "#555555")
DASHES = ("", "6 3", "2 3", "9 3 2 3")  # no line is told from another by its colour alone
Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A picture's size, and its margins."""

    width: int
    height: int
    left: int
    right: int
    top: int = 30
    bottom: int = 60

    def place(self, across: float, up: float) -> Point:
        """Where a point lies that is so far across and up, from 0 to 1."""
        return (
            self.left + across * (self.width - self.left - self.right),
            self.height - self.bottom - up * (self.height - self.top - self.bottom),
        )

    def drawn(self, parts: Sequence[str], x_title: str, y_title: str) -> str:
        """The whole file's text: `parts`, with the axes' titles, on white."""
        middle = _text((self.left + self.width - self.right) / 2, self.height - 16, x_title, "middle")
        side = _text(-(self.top + self.height - self.bottom) / 2, 20, y_title, "middle")
        size = f'viewBox="0 0 {self.width} {self.height}" font-family="sans-serif" font-size="13"'
        begin = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"<title>{escape(y_title)} by {escape(x_title)}</title>",
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>',
        ]
        return "\n".join([*begin, *parts, middle, f'<g transform="rotate(-90)">{side}</g>', "</svg>"]) + "\n"


LINES, POINTS = Box(760, 420, 70, 230), Box(720, 400, 80, 30)


def lines(series: Mapping[str, Sequence[Point]], x_title: str, y_title: str, *, log_x: bool = False) -> str:
    """A line through the points (x, y ≥ 0) of each name. `log_x`: powers of two along the axis. ValueError for no point."""
    points = [point for found in series.values() for point in found]
    if not points:
        raise ValueError("there is nothing to draw")

    def scaled(x: float) -> float:
        return math.log2(x) if log_x else x

    low, high = min(scaled(x) for x, _ in points), max(scaled(x) for x, _ in points)
    top, box = _round_up(max(y for _, y in points)), LINES

    def place(x: float, y: float) -> Point:
        return box.place((scaled(x) - low) / (high - low) if high > low else 0.5, y / top)

    parts = [_across(box, box.place(0, step / 5)[1], f"{top * step / 5:g}") for step in range(6)]
    parts += [_text(place(x, 0)[0], box.height - box.bottom + 20, f"{x:g}", "middle") for x in sorted({x for x, _ in points})]
    for number, (name, found) in enumerate(series.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        style = f'stroke="{colour}" stroke-width="2" fill="none" stroke-dasharray="{dash}"'
        placed = [place(*point) for point in found]
        parts.append(f'<path d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in placed)}" {style}/>')
        parts += [_dot(x, y, 3, colour) for x, y in placed]
        side, row = box.width - box.right, box.top + 20 * number
        parts.append(f'<path d="M{side + 12} {row}h26" {style}/>' + _text(side + 44, row + 4, name, "start"))
    return box.drawn(parts, x_title, y_title)


def scatter(points: Sequence[tuple[str, float, float]], x_title: str, y_title: str) -> str:
    """Named points (name, x, y > 0), over a linear axis and beside a logarithmic one."""
    xs, ys = [x for _, x, _ in points], [math.log10(y) for _, _, y in points]
    x_low, x_high = math.floor(min(xs)), math.ceil(max(xs) + 0.5)
    y_low, y_high, box = math.floor(min(ys)), math.ceil(max(ys)), POINTS

    def place(x: float, y: float) -> Point:
        return box.place((x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low))

    parts = []
    for tick in range(x_low, x_high + 1):
        at, bottom = place(tick, y_low)
        parts.append(f'<path d="M{at:.1f} {box.top}V{bottom:.1f}" stroke="#d0d0d0"/>')
        parts.append(_text(at, bottom + 18, str(tick), "middle"))
    parts += [_across(box, place(x_low, power)[1], f"{10.0**power:g}") for power in range(y_low, y_high + 1)]
    for (name, x, _), y in zip(points, ys, strict=True):
        at, up = place(x, y)
        parts.append(_dot(at, up, 4, COLOURS[0]) + _text(at + 8, up + 4, name, "start"))
    return box.drawn(parts, x_title, y_title)


def _round_up(value: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below a value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * digit for digit in (1, 2, 2.5, 5, 10) if power * digit >= value)


def _across(box: Box, at: float, label: str) -> str:
    """A line of the grid, labelled at its left."""
    line = f'<path d="M{box.left} {at:.1f}H{box.width - box.right}" stroke="#d0d0d0"/>'
    return line + _text(box.left - 8, at + 4, label, "end")


def _dot(x: float, y: float, size: int, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222">{escape(text)}</text>'
