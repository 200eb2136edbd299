"""Checked mode: kernels that are told what they did. How it works: metal/README.md; the names of the checks are here."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import error

# what each looks for; those before "order" are the default ones
CHECKS = {
    "bounds": "accesses outside a buffer, a threadgroup variable or an array; misaligned ones",
    "unwritten": "reads of what nobody has written",
    "races": "two threads at one place without a barrier between, one of them writing",
    "divergence": "barriers and SIMD-group functions that not every thread reaches; lanes that are not active",
    "time": "kernels that do not end; integers divided by 0",
    "limits": "indices that overflow 32 bits, atomics on what is not atomic",
    "order": "results that hang on the order of threadgroups and SIMD-groups",
    "width": "results that change with the threadgroup's width",
    "fast-math": "NaN or infinity out of finite inputs, and what hangs on them",
}
DEFAULT = ("bounds", "unwritten", "races", "divergence", "time")


def chosen(checks: str | Collection[str]) -> frozenset[str]:
    """The checks that "off", "default", "all", or names of checks stand for. Raises `metal.error` naming one that is none."""
    if isinstance(checks, str):
        sets = {"off": (), "default": DEFAULT, "all": tuple(CHECKS)}
        names = sets[checks] if checks in sets else tuple(c.strip() for c in checks.split(","))
    else:
        names = tuple(checks)
    unknown = next((name for name in names if name not in CHECKS), None)
    if unknown is not None:
        raise error(f"there is no check {unknown!r}: off, default, all, or some of {', '.join(CHECKS)}")
    return frozenset(names)
