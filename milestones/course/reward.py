"""`firstlight generate --workbook`: the real model on the learner's own kernels, wherever their spec has passed."""

from __future__ import annotations

from metal import source
from milestones.course import python_files, results, workbook
from milestones.course.exercises import Op, ops
from milestones.errors import UserError


def take() -> tuple[list[Op], list[tuple[Op, str]]]:
    """From now on use the proved ops of the workbook: these, and those left out with their states.

    To be called before the engine is imported. Raises UserError where there is no workbook.
    """
    started = workbook.started()
    if not started:
        raise UserError("there is no workbook yet: firstlight start m1")
    verdicts = results.load()
    states = {op: results.state(op, verdicts) for milestone in started for op in ops(milestone)}
    mine = [op for op, state in states.items() if state == "proved"]
    files = {(op.milestone, name) for op in mine for name in op.files}
    headers = {op.milestone for op in mine}
    source.use(lambda milestone, file: (milestone, file) in files or (file.endswith(".h") and milestone in headers))
    for milestone in started:
        python = [path for path in workbook.python_files(milestone) if (milestone, path.name) in files]
        if python:
            python_files.install(milestone, python)
    return mine, [(op, state) for op, state in states.items() if state not in ("proved", "stub")]


def fast(mine: list[Op]) -> bool:
    """Whether the engine is to take m6's kernels: as soon as one of them is the learner's. Until then it runs m2's and m4's."""
    return any(op.milestone == "m6" for op in mine)


def shares(seconds: dict[str, float], mine: list[Op]) -> dict[str, float]:
    """How much of the kernels' time each proved op took, from 0 to 1; Python has no kernel of its own and no share."""
    total = sum(seconds.values())
    kernels = {
        f"{op.milestone}/{op.name}": [f"{op.milestone}/{file.removesuffix('.metal')}" for file in op.files] for op in mine
    }
    return {name: sum(seconds.get(file, 0.0) for file in files) / total if total else 0.0 for name, files in kernels.items()}


def line(seconds: dict[str, float], mine: list[Op], left_out: list[tuple[Op, str]], kernels: str) -> str:
    """Which kernels were the learner's, in words; `kernels` are those that the engine ran: "fast" (m6's) or "naive"."""
    if not mine:
        words = "none of these kernels is yours yet: an op counts once its spec has passed (firstlight next)"
    else:
        share = shares(seconds, mine)
        host = {f"{op.milestone}/{op.name}" for op in mine if op.files[0].endswith(".py")}
        ran = [f"{name} {part:.1%}" for name, part in share.items() if part]
        parts = [*ran, *(f"{name} (on the host)" for name in share if name in host)]
        words = f"yours: {', '.join(parts)}; {sum(share.values()):.1%} of the kernels' time; the rest is ours" if parts else ""
        idle = [name for name, part in share.items() if not part and name not in host]
        words += f"{'; ' if words else ''}proved, but this run has no use for it: {', '.join(idle)}" if idle else ""
        plain = kernels == "fast" and any(name.startswith(("m2/", "m4/")) for name in idle)
        words += " (--naive runs m2's and m4's)" if plain else ""
    missing = [f"{op.milestone}/{op.name} ({state})" for op, state in left_out]
    return words + (f"; not used: {', '.join(missing)}" if missing else "")
