"""`firstlight watch`: a verdict within two seconds of a save, from a process that has imported the specs already."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metal.health import tells_a_finding
from milestones.course import exercises, workbook
from milestones.course.exercises import Op
from milestones.course.spec_process import SpecProcess
from milestones.errors import UserError
from milestones.terminal import check_interrupt, write

# One width, no checks: a checked kernel takes seconds to compile. The whole spec, checked and at every width, comes after it.
QUICK = ("-x", "--widths=64", "--checks=off")
PAUSE = 0.1  # seconds between two looks at the files
LIMIT = 20.0  # seconds for the quick look: a kernel may not end


def watch(milestone: str, name: str | None = None) -> None:
    """Follow the learner's files of a milestone (of one op) until Ctrl-C. UserError if it is not started, or without pytest."""
    workbook.require_started(milestone)
    if find_spec("pytest") is None:
        raise UserError("the specs need pytest and more: pip install -e '.[test]'")
    ops = (exercises.op(milestone, name),) if name else exercises.ops(milestone)
    write(f"watching {workbook.path_of(ops[0]).parent}: save a file to test it; Ctrl-C ends this\n")
    with SpecProcess(sorted({str(op.spec_path) for op in ops})) as process:
        seen = stamps(ops)
        for op in ops:
            if not workbook.untouched(op):
                judge(process, op, "the start")
        while True:
            check_interrupt()
            now = stamps(ops)
            changed = {path.name for path in now if now[path] != seen.get(path)}
            seen = now
            for op in ops:
                if changed & workbook.parts(op):
                    judge(process, op)
            time.sleep(PAUSE)


def stamps(ops: tuple[Op, ...]) -> dict[Path, int]:
    """When each of the learner's files was last written."""
    home = workbook.path_of(ops[0]).parent
    found = {}
    for path in home.glob("*"):
        try:
            found[path] = path.stat().st_mtime_ns
        except OSError:  # an editor has just moved it away
            continue
    return found


def judge(process: SpecProcess, op: Op, since: str = "the save") -> None:
    """Say what the op's spec says: the first failure, or that all of it passes. The time runs from now, which is `since`."""
    began = time.monotonic()
    quick = process.run([*QUICK, str(op.spec_path)], seconds=LIMIT)
    if first := failure(quick):
        write(f"\n{first}\n\n✗ {op.name}: failed, {time.monotonic() - began:.1f} s after {since}\n")
        checked = process.run(["-x", "--widths=64", next(t for t, one in quick["tests"].items() if one["state"] == "failed")])
        if tells_a_finding(failure(checked)):
            write(f"\nin checked mode the same test says more:\n\n{failure(checked)}\n")
        return
    if quick["status"] == 0:
        write(f"… {op.name}: a quick look passed, {time.monotonic() - began:.1f} s after {since}; now the whole spec\n")
    full = process.run(["-x", str(op.spec_path)], seconds=600)  # also where the quick look crashed or did not end
    seconds = f"{time.monotonic() - began:.1f} s"
    if first := failure(full):
        write(f"\n{first}\n\n✗ {op.name}: failed, {seconds}\n")
    elif full["status"] == 0:
        write(f"✓ {op.name}: {full['passed']} passed, 0 failed, {full['not run here']} not run here, {seconds}\n")
        write(f"what comes next: firstlight next {op.milestone}; ours: firstlight solution {op.milestone} {op.name}\n")
    else:
        write(f"✗ {op.name}: {'it does not end' if full['status'] == -1 else full['output'][-2000:]}\n")


def failure(found: dict[str, Any]) -> str:
    """The report of the first test that failed, or nothing."""
    return next((one["report"] for one in found["tests"].values() if one["state"] == "failed"), "")
