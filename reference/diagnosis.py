"""What a wrong output looks like: comparison with known mistakes, and with the ways in which kernels go wrong everywhere.

A spec decorates the function that runs its kernel with `@watched(op)`; if the test fails, `diagnose` looks at the last calls.

>>> calls.clear()
>>> double = watched("add")(lambda gpu, a, b: a)
>>> _ = double(None, np.float32([1, 2]), np.float32([3, 5]))
>>> calls[-1].result.tolist()
[1.0, 2.0]
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.compare import Mismatch
from reference.symptoms import NOTHING, Seen, alike, general, identical, untouched


@dataclass
class Call:
    """One run of a kernel by its spec: copies of what went in, and what came out."""

    op: str
    width: int | None
    arguments: tuple
    options: dict[str, Any]
    result: Any
    names: tuple[str, ...] = ()  # of the arguments

    def inputs(self) -> str:
        """What went in, by name: of arrays kind and shape, short lists of numbers as they are."""
        given = zip(self.names, self.arguments, strict=False)
        return ", ".join(f"{name} {text}" for name, value in given if (text := _told(value)))


calls: deque[Call] = deque(maxlen=4)  # of the running test, the last one last; the plugin empties it before each test


def watched(op: str) -> Callable[[Callable], Callable]:
    """Decorate a spec's `run(gpu, *arguments, **options)`: its last calls are kept for a diagnosis, should the test fail."""

    def decorate(run: Callable) -> Callable:
        names = tuple(inspect.signature(run).parameters)[1:]

        @functools.wraps(run)
        def wrapper(gpu: Any, *arguments: Any, **options: Any) -> Any:
            kept = tuple(np.array(a) if isinstance(a, np.ndarray) else a for a in arguments)
            call = Call(op, getattr(gpu, "width", None), kept, dict(options), None, names)
            calls.append(call)  # before it runs: a fault of the kernel has its inputs too
            result = run(gpu, *arguments, **options)
            call.result = tuple(np.array(r) for r in result) if isinstance(result, tuple) else _copied(result)
            return result

        return wrapper

    return decorate


def diagnose(problem: BaseException, *, deep: bool = True) -> list[str]:
    """Sentences about what is wrong: the known mistakes that the last calls' results equal, else what is generally seen.

    Not `deep`: only whether anything was written at all.
    """
    if isinstance(problem, Mismatch) and problem.got.size and untouched(problem.got).all():
        return [NOTHING]
    if not deep:
        return []
    found: list[str] = []
    for call in reversed(calls) if isinstance(problem, AssertionError) else ():
        found = found or [f"the output equals {mistake}" for mistake in known(call, getattr(problem, "want", None))]
    if not found and isinstance(problem, Mismatch):
        last = calls[-1] if calls else None
        inputs = [a for a in last.arguments if isinstance(a, np.ndarray)] if last else []
        found = general(Seen(problem.got, problem.want, last.width if last else None, inputs))
    return found


def known(call: Call, wanted: Any = None) -> list[str]:
    """The known mistakes of the op that give this result, and not what was wanted."""
    try:
        module = importlib.import_module(f"reference.mistakes.{call.op}")
    except ModuleNotFoundError:
        return []
    same = identical if getattr(module, "EXACT", False) else alike
    right = _try(module.RIGHT, call)
    wanted = [other for other in (wanted, right) if other is not None]
    if call.result is None or any(same(call.result, other) for other in wanted):
        return []
    found = []
    for sentence, mistake in module.MISTAKES.items():
        made = _try(mistake, call)
        if made is not None and same(call.result, made) and not any(same(made, other) for other in wanted):
            found.append(sentence)
    return found[:2]


def _told(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} [{', '.join(map(str, value.shape))}]"
    short = isinstance(value, (list, tuple)) and len(value) <= 16 and all(isinstance(one, (int, float)) for one in value)
    return str(list(value)) if short else ""


def _try(function: Callable, call: Call) -> Any:
    try:
        with np.errstate(all="ignore"):
            return function(*call.arguments, **call.options)
    except Exception:  # a mistake may be impossible on some inputs; it then explains nothing
        return None


def _copied(value: Any) -> Any:
    return np.array(value) if isinstance(value, np.ndarray) else value
