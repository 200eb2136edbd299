"""A scatter plot as SVG: named points, a linear axis below, a logarithmic one at the left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 80, 30, 30, 60


def scatter(points: Sequence[tuple[str, float, float]], x_title: str, y_title: str) -> str:
    """The text of an SVG file with `points` (name, x, y > 0). Readable on light and on dark pages."""
    xs, ys = [x for _, x, _ in points], [math.log10(y) for _, _, y in points]
    x_low, x_high = math.floor(min(xs)), math.ceil(max(xs) + 0.5)
    y_low, y_high = math.floor(min(ys)), math.ceil(max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        return across, TOP + (y_high - y) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f"<title>{escape(y_title)} by {escape(x_title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for tick in range(x_low, x_high + 1):
        at, bottom = place(tick, y_low)
        parts.append(_line(at, TOP, at, bottom) + _text(at, bottom + 18, str(tick), "middle"))
    for power in range(y_low, y_high + 1):
        left, at = place(x_low, power)
        parts.append(_line(left, at, WIDTH - RIGHT, at) + _text(left - 8, at + 4, f"{10.0**power:g}", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_title, "middle"))
    parts.append(f'<g transform="rotate(-90)">{_text(-(TOP + HEIGHT - BOTTOM) / 2, 20, y_title, "middle")}</g>')
    for name, x, y in points:
        at, up = place(x, math.log10(y))
        parts.append(f'<circle cx="{at:.1f}" cy="{up:.1f}" r="4" fill="#0b6e99"/>' + _text(at + 8, up + 4, name, "start"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#d0d0d0"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222">{escape(text)}</text>'
