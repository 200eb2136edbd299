"""A new op: all the files that it takes, laid out from `template/`, with the gaps marked TO WRITE and failing until filled."""

from __future__ import annotations

import contextlib
import io
import keyword
import re
import tempfile
import tokenize
from functools import cache
from pathlib import Path
from string import Template

from metal.check import check_file
from metal.source import ROOT
from milestones.errors import UserError

GAP = "TO WRITE"
_TEMPLATES = Path(__file__).parent / "template"
_LONGEST = 24  # letters of a name: the templates' lines have room for so many
PLACES = {
    "reference.py.in": "reference/{op}.py",
    "spec.py.in": "milestones/{milestone}/test_{op}.py",
    "kernel.metal.in": "milestones/{milestone}/{op}.metal",
    "host.py.in": "milestones/{milestone}/{op}.py",
    "mistakes.py.in": "reference/mistakes/{op}.py",
    "stub.metal.in": "milestones/{milestone}/exercise/{op}.metal",
    "mutants.toml.in": "milestones/{milestone}/mutants/{op}.toml",
}
EXERCISES = "exercise.toml.in"  # appended to milestones/mN/exercise/exercise.toml, the course's order


def lay_out(op: str, milestone: str, root: Path = ROOT) -> list[Path]:
    """Write a new op's files below `root`, all or none: what was written, relative to it, in the order in which to fill them.

    Raises UserError for a name that cannot be one, a milestone that is not there, or a file that is.
    """
    _check_milestone(milestone, root)
    _check_name(op)
    home = root / "milestones" / milestone / "exercise" / "exercise.toml"
    listed = home.read_text(encoding="utf-8") if home.is_file() else f"# The order of {milestone}'s ops, and their hints.\n"
    if re.search(rf'^name\s*=\s*"{op}"', listed, re.MULTILINE):
        raise UserError(f"{home.relative_to(root)} has an op {op!r} already")
    files = {root / place.format(op=op, milestone=milestone): render(name, op, milestone) for name, place in PLACES.items()}
    there = [path.relative_to(root).as_posix() for path in files if path.exists() or path.is_symlink()]
    if there:
        raise UserError(f"there is a {there[0]} already: nothing was written; choose another name")
    _write({**files, home: listed.rstrip("\n") + "\n" + render(EXERCISES, op, milestone)})
    return [path.relative_to(root) for path in (*files, home)]


def render(template: str, op: str, milestone: str) -> str:
    """A template's text for this op."""
    text = Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(
        op=op, milestone=milestone, name=class_name(op), pad=" " * len(f"kernel void {op}(")
    )
    return re.sub(
        r"(?:^from .*\n)+", lambda block: "".join(sorted(block[0].splitlines(keepends=True))), text, flags=re.MULTILINE
    )


def class_name(op: str) -> str:
    """rms_norm → RmsNorm, the name of its host side."""
    return "".join(word.capitalize() for word in op.split("_"))


def _check_milestone(milestone: str, root: Path) -> None:
    if not (root / "conftest.py").is_file():
        raise UserError("new writes into a clone of the repository, and this installation is none: git clone, pip install -e .")
    there = sorted(path.parent.name for path in (root / "milestones").glob("m*/__init__.py"))
    if milestone not in there:
        raise UserError(f"there is no milestone {milestone!r}: there are {', '.join(there)} (CONTRIBUTING.md: how to add one)")


def _check_name(op: str) -> None:
    """Raises UserError unless `op` can be a file's, a function's and a kernel's name."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", op) or keyword.iskeyword(op):
        raise UserError(f"{op!r} is no name for an op: give small letters, digits and single underscores, as in rms_norm")
    if len(op) > _LONGEST:
        raise UserError(f"{op!r} is too long a name: at most {_LONGEST} letters")
    if op.startswith(("test_", "bench_")) or op in _words():
        raise UserError(f"{op!r} would clash with a name that every op's files use: choose another")
    with tempfile.TemporaryDirectory() as folder:
        kernel = Path(folder) / f"{op}.metal"
        use = f"inline uint used(uint {op}) {{ return {op}; }}\n"  # a kernel's own name is not looked at by the check
        kernel.write_text(render("kernel.metal.in", op, "m0") + use, encoding="utf-8")
        findings, _ = check_file(kernel)
    if findings:
        raise UserError(f"no kernel can be called {op!r}: {findings[0].message}")


@cache
def _words() -> set[str]:
    """Every name that a new op's Python files use, whatever it is called."""
    found = set()
    for template in PLACES:
        if template.endswith(".py.in"):
            tokens = tokenize.generate_tokens(io.StringIO(render(template, "op", "m0")).readline)
            found |= {token.string for token in tokens if token.type == tokenize.NAME}
    return found - {"op", "Op"}


def _write(files: dict[Path, str]) -> None:
    """All of them or none. The last may be there already, and is then replaced."""
    parts = {path: path.with_name(f".{path.name}.new") for path in files}
    moved: list[Path] = []
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path].write_text(text, encoding="utf-8")
        for path, part in parts.items():
            part.rename(path)
            moved.append(path)
    except OSError as problem:
        for path in (*parts.values(), *moved):
            with contextlib.suppress(OSError):
                path.unlink()
        raise UserError(f"the files of a new op cannot be written: {problem.filename}: {problem.strerror}") from None
