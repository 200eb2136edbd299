"""The program that a model file's chat template runs in: a process of its own, because a template can ask for more time and
memory than there is in more ways than a sandbox can name. It imports Jinja alone and nothing of ours, so that it starts fast.

A request is a line of JSON, its answer another: `template_process.py` is the other end. Runs until its input ends, which it
does with its parent; a limit that is hit ends it at once.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import Environment, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

LARGEST = 1 << 24  # characters of a rendered conversation


def _refuse(message: str) -> NoReturn:
    raise TemplateError(str(message))


def _environment() -> Environment:
    """What templates expect: the settings and helpers of transformers."""
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    made.globals |= {"raise_exception": _refuse, "strftime_now": lambda layout: datetime.now().strftime(layout)}
    made.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    return made


@lru_cache(maxsize=1)
def _read(source: str) -> Template:
    return _environment().from_string(source)


def answer(source: str, values: dict[str, Any] | None) -> dict[str, str]:
    """The text that a template makes of `values` (none: it is only read), or why there is none."""
    try:
        template = _read(source)
    except Exception as problem:  # Jinja's own, and what Python says of the code that Jinja makes
        return {"unreadable": _words(problem)}
    if values is None:
        return {}
    try:
        text = template.render(values)
    except MemoryError:
        raise
    except Exception as problem:  # whatever a foreign program raises
        return {"failed": _words(problem)}
    return {"text": text} if len(text) <= LARGEST else {"failed": "it makes more text than can be meant"}


def _words(problem: BaseException) -> str:
    return str(problem)[:1000] or type(problem).__name__


def main(seconds: float, addresses: int) -> None:
    """Answer requests, each within so many seconds of processor time, all within so many bytes of address space."""
    with suppress(ValueError, OSError):  # not every system keeps this limit: the other end watches too
        resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
    _say({})  # ready: what goes wrong from here on is the template's doing
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process, inside C code too
        _say(answer(**json.loads(line)))
        signal.setitimer(signal.ITIMER_PROF, 0)


def _say(reply: dict[str, str]) -> None:
    """Characters stay what they are, lone surrogates too."""
    sys.stdout.buffer.write(json.dumps(reply, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
