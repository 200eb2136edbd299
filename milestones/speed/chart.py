"""Lines over one axis as an SVG file: rates by context length, a benchmark's history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 70, 230, 30, 60
COLOURS = ("#0b6e99", "#b3541e", "#3d7a2b", "#7d3c98", "#8a6d00", "#555555")
DASHES = ("", "6 3", "2 3", "9 3 2 3")  # no line is told from another by its colour alone


def lines(series: Mapping[str, Sequence[tuple[float, float]]], x_title: str, y_title: str, *, log_x: bool = False) -> str:
    """The text of an SVG file with a line through the points (x, y ≥ 0) of each name. `log_x`: powers of two along the axis."""
    points = [point for found in series.values() for point in found]
    if not points:
        raise ValueError("there is nothing to draw")

    def scaled(x: float) -> float:
        return math.log2(x) if log_x else x

    low, high = min(scaled(x) for x, _ in points), max(scaled(x) for x, _ in points)
    top = _round_up(max(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (scaled(x) - low) / (high - low) if high > low else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f"<title>{escape(y_title)} by {escape(x_title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for step in range(6):
        y = top * step / 5
        at = place(points[0][0], y)[1]
        parts.append(
            f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#d0d0d0"/>' + _text(LEFT - 8, at + 4, f"{y:g}", "end")
        )
    for x in sorted({x for x, _ in points}):
        parts.append(_text(place(x, 0)[0], HEIGHT - BOTTOM + 20, f"{x:g}", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_title, "middle"))
    parts.append(f'<g transform="rotate(-90)">{_text(-(TOP + HEIGHT - BOTTOM) / 2, 18, y_title, "middle")}</g>')
    for number, (name, found) in enumerate(series.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in found))
        style = f'stroke="{colour}" stroke-width="2" fill="none" stroke-dasharray="{dash}"'
        parts.append(f'<path d="M{path}" {style}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in (place(*point) for point in found)]
        row = TOP + 20 * number
        parts.append(f'<path d="M{WIDTH - RIGHT + 12} {row}h26" {style}/>' + _text(WIDTH - RIGHT + 44, row + 4, name, "start"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _round_up(value: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below a value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * digit for digit in (1, 2, 2.5, 5, 10) if power * digit >= value)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222">{escape(text)}</text>'
