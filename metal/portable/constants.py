"""The values of function constants, in Metal's words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import error
from .lowered import Constant

_RANGES = {f"{u}{name}": (0 if u else -(1 << bits - 1), (1 << bits) - 1 if u else (1 << bits - 1) - 1)
           for name, bits in (("char", 8), ("short", 16), ("int", 32), ("long", 64)) for u in ("", "u")}  # fmt: skip
_RANGES |= {f"{u}int{bits}_t": _RANGES[f"{u}{name}"] for u in ("", "u")
            for name, bits in (("char", 8), ("short", 16), ("int", 32), ("long", 64))}  # fmt: skip


def spelled(known: Mapping[str, Constant], given: Mapping[int | str, Any]) -> dict[str, str]:
    """name → value of each constant given, by index or name. Raises `metal.error` for one that is unknown or does not fit."""
    by_index = {constant.index: constant for constant in known.values()}
    found = {}
    for key, value in sorted(given.items(), key=str):
        constant = by_index.get(key) if isinstance(key, int) else known.get(key)
        if constant is None:
            there = ", ".join(f"{c.index} ('{c.name}')" for c in by_index.values())
            raise error(f"there is no function constant {key!r}; this source has: {there}")
        found[constant.name] = _value(constant, value)
    return found


def _value(constant: Constant, value: Any) -> str:
    vector = re.fullmatch(r"([a-z_]+?)([234])", constant.type)
    if vector:
        if not isinstance(value, Sequence) or len(value) != int(vector[2]):
            _refuse(constant, value, f"a sequence of {vector[2]} numbers")
        return f"({constant.type})({', '.join(_scalar(constant, vector[1], one) for one in value)})"
    return _scalar(constant, constant.type, value)


def _scalar(constant: Constant, kind: str, value: Any) -> str:
    if kind == "bool":
        if value not in (True, False):
            _refuse(constant, value, "true or false")
        return "true" if value else "false"
    if kind in ("float", "half", "bfloat"):
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            _refuse(constant, value, "a finite number")
        return f"({kind})({float(value).hex()}f)"
    least, most = _RANGES.get(kind, _RANGES["long"])
    if not isinstance(value, int) or not least <= value <= most:
        _refuse(constant, value, f"a whole number from {least} to {most}")
    return f"({kind})({value}{'ul' if value > _RANGES['long'][1] else ''})"


def _refuse(constant: Constant, value: Any, wanted: str) -> None:
    raise error(f"function constant {constant.index} ('{constant.name}') is a {constant.type}: give {wanted}, got {value!r}")
