"""Wrong RoPEs, by what each does. Arguments as its spec's `run`: x (tokens, heads, d), start, base, halves, scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Angles = Callable[[np.ndarray, np.ndarray, np.ndarray, int, int, float], np.ndarray]


def _turned(
    x: np.ndarray,
    start: int,
    base: float,
    halves: bool,
    angles: Angles = lambda t, h, i, start, d, base: (start + t) * base ** (-2 * i / d),
    first: Callable = lambda a, b, c, s: a * c - b * s,
    second: Callable = lambda a, b, c, s: a * s + b * c,
) -> np.ndarray:
    """RoPE with one of its parts replaced: the angle of pair i of head h of token t, or what becomes of a pair (a, b)."""
    tokens, heads, d = x.shape
    wide, y, half = x.astype(np.float64), np.empty(x.shape), d // 2
    places = (slice(0, half), slice(half, d)) if halves else (slice(0, d, 2), slice(1, d, 2))
    t, h, i = np.ogrid[:tokens, :heads, :half]
    angle = np.asarray(angles(t, h, i, start, d, base), np.float64)
    a, b = (wide[..., place] for place in places)
    y[..., places[0]], y[..., places[1]] = (part(a, b, np.cos(angle), np.sin(angle)) for part in (first, second))
    return y.astype(np.float32)


def _with(**parts: Callable) -> Callable:
    return lambda x, start, base=1e5, halves=False, scale=1.0: np.float32(scale) * _turned(x, start, base, halves, **parts)


def _float_angle(t, h, i, start, d, base):
    return (start + t).astype(np.float32) * np.float32(base ** (-2 * i / d))


def _half_angle(t, h, i, start, d, base):
    """Of the angle between −π and π."""
    return np.angle(np.exp(1j * (start + t) * base ** (-2 * i / d))) / 2


RIGHT = _with()

MISTAKES: dict[str, Callable] = {
    "RoPE with a head's halves paired instead of neighbours, or the other way round": (
        lambda x, start, base=1e5, halves=False, scale=1.0: np.float32(scale) * _turned(x, start, base, not halves)
    ),
    "RoPE not multiplied by args.scale": lambda x, start, base=1e5, halves=False, scale=1.25: _turned(x, start, base, halves),
    "RoPE turned the other way: the sign of the sine": _with(
        first=lambda a, b, c, s: a * c + b * s, second=lambda a, b, c, s: b * c - a * s
    ),
    "RoPE with both products added in a pair's first element": _with(first=lambda a, b, c, s: a * c + b * s),
    "RoPE with sine and cosine swapped": _with(first=lambda a, b, c, s: a * s - b * c, second=lambda a, b, c, s: a * c + b * s),
    "RoPE whose second element is made from the turned first one, not from the one that was read": _with(
        second=lambda a, b, c, s: (a * c - b * s) * s + b * c
    ),
    "RoPE one position too far": _with(angles=lambda t, h, i, start, d, base: (start + t + 1) * base ** (-2 * i / d)),
    "RoPE one position too early": _with(angles=lambda t, h, i, start, d, base: (start + t - 1) * base ** (-2 * i / d)),
    "RoPE that ignores start: token t at position t": _with(angles=lambda t, h, i, start, d, base: t * base ** (-2 * i / d)),
    "RoPE with all tokens at position start": _with(
        angles=lambda t, h, i, start, d, base: (start + 0 * t) * base ** (-2 * i / d)
    ),
    "RoPE with positions counted in heads, not in tokens": _with(
        angles=lambda t, h, i, start, d, base: (start + t * (h.max() + 1) + h) * base ** (-2 * i / d)
    ),
    "RoPE with the first pair's angle for every pair": _with(
        angles=lambda t, h, i, start, d, base: (start + t) * base ** (0.0 * i)
    ),
    "RoPE with pairs counted over all heads: a head does not begin again at pair 0": _with(
        angles=lambda t, h, i, start, d, base: (start + t) * base ** (-2 * (h * (d // 2) + i) / d)
    ),
    "RoPE with base^(−i/d): the 2 is missing": _with(angles=lambda t, h, i, start, d, base: (start + t) * base ** (-i / d)),
    "RoPE with base^(+2i/d): the minus is missing": _with(
        angles=lambda t, h, i, start, d, base: (start + t) * base ** (2 * i / d)
    ),
    "RoPE with base 10000 whatever base is asked for": _with(
        angles=lambda t, h, i, start, d, base: (start + t) * 1e4 ** (-2 * i / d)
    ),
    "RoPE with half the angle": _with(angles=_half_angle),
    "RoPE with twice the angle": _with(angles=lambda t, h, i, start, d, base: (start + t) * base ** (-2 * i / d) * 2),
    "RoPE with angles computed in float32": _with(angles=_float_angle),
}
