"""How the `firstlight` command ends: every ending a person can cause is one line and a status, never a traceback."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click
from click.utils import PacifyFlushWrapper

from milestones.errors import UserError
from milestones.terminal import on_interrupt, swallow_interrupt, writing

INTERRUPTED = 130  # the exit status after Ctrl-C


def guard(run: Callable[[], Any]) -> int:
    """Run a command; every ending a person can cause gets one line and a status, never a traceback."""
    try:
        run()
        return 0
    except click.UsageError as problem:
        where = problem.ctx.command_path if problem.ctx else "firstlight"
        message = problem.format_message().rstrip(".").replace("\n", " ")
        return _complain(f"{message} (see {where} --help)")
    except click.ClickException as problem:
        return _complain(problem.format_message())
    except UserError as problem:
        return _complain("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(problem)))
    except UnicodeEncodeError as problem:
        return _complain(str(problem))
    except MemoryError:
        return _complain("there is not enough memory for this: give a smaller model or a shorter prompt")
    except KeyboardInterrupt:
        click.echo("", err=True)
        return INTERRUPTED
    except click.Abort:  # click has ended the line already
        return INTERRUPTED
    except Exception as problem:
        metal = sys.modules.get("metal")  # which many commands do without
        if metal is None or not isinstance(problem, metal.error):
            raise
        tight = "not enough memory" in str(problem)  # else a kernel that does not compile is shown with its line
        return _complain(f"{problem}: give a smaller model, or fewer tokens" if tight else str(problem))


def _complain(message: str) -> int:
    click.echo(f"firstlight: {message}", err=True)
    return 2


def end(command: click.Command) -> NoReturn:
    """Run the command with the process's arguments, and end the process."""
    signal.signal(signal.SIGINT, on_interrupt)
    sys.unraisablehook = swallow_interrupt

    def run() -> None:
        with writing():
            try:
                command.main(args=sys.argv[1:] or ["--help"], prog_name="firstlight", standalone_mode=False)
            except SystemExit:
                if type(sys.stdout) is PacifyFlushWrapper:  # how click says that the reader has had enough
                    sys.exit(0)
                raise
            if sys.stdout is None:
                raise UserError("standard output is closed: there is nowhere to write to")
            sys.stdout.flush()

    status = guard(run)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    if status != INTERRUPTED:  # else kernels may still run, and would be waited for
        atexit._run_exitfuncs()
    os._exit(status)  # not sys.exit: to take down the runtime piece by piece takes a tenth of a second
