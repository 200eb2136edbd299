"""A spec run in a process of its own: limits of time and memory, nothing of the teacher's environment, a sealed answer."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from metal.paths import cache_dir, own_cache
from metal.source import ROOT
from milestones.course.spec_process import PYTEST
from milestones.errors import UserError

SEED = 0  # the same examples for everyone
OPTIONS = (*PYTEST, "-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}")
PROFILE = "--hypothesis-profile=strength"  # a verdict, not the smallest failing case
_PASSED_ON = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
_PASSED_ON |= {"OCL_ICD_VENDORS", "FIRSTLIGHT_OPENCL", "FIRSTLIGHT_CACHE_MB"}


@dataclass(frozen=True)
class Limits:
    """Of one op's run."""

    seconds: float = 120
    gigabytes: float = 8


@dataclass(frozen=True)
class Ending:
    """How a run ended: its state and why, if not by itself; what it answered under our seal; the end of what it printed."""

    state: str = ""  # "too long" or "crashed"
    why: str = ""
    answer: dict[str, Any] | None = None
    output: str = ""


def collect(specs: Sequence[Path]) -> dict[Path, list[str]]:
    """spec → the tests that it has with our own files. Raises UserError if pytest cannot say."""
    if not specs:
        return {}
    with tempfile.TemporaryDirectory(prefix="grade-") as folder:
        command = [sys.executable, "-m", "pytest", *OPTIONS, "--collect-only", "--solution", *map(str, specs)]
        done = subprocess.run(command, cwd=folder, env=environment(Path(folder)), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise UserError(f"the shipped specs cannot be collected (pip install -e '.[test]'?): {last}")
    found: dict[Path, list[str]] = {spec: [] for spec in specs}
    for line in done.stdout.splitlines():
        if (spec := ROOT / line.partition("::")[0]) in found and "::" in line:
            found[spec].append(line)
    return found


def environment(home: Path) -> dict[str, str]:
    """Of a process that tests: nothing of the teacher's but what finds programs; home, cache and temporary files in `home`."""
    cache = own_cache(home / "cache")
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUSERBASE": site.getuserbase(),  # where `pip install --user` put things
        "PIP_NO_INDEX": "1",
        "FIRSTLIGHT_CACHE": str(cache),
        "FIRSTLIGHT_WORKBOOK": str(home / "workbook"),
    }


def run(spec: Path, milestone: str, files: Mapping[str, bytes], limits: Limits) -> Ending:
    """Run a shipped spec with these files in the place of the milestone's."""
    seal = secrets.token_hex(16)
    with (
        tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as answer,
        tempfile.TemporaryFile() as output,
    ):
        home = Path(folder)
        (home / "here").mkdir()
        with contextlib.suppress(OSError, shutil.Error):  # compiled already; without them, or in part, it only takes longer
            shutil.copytree(cache_dir() / "programs", home / "cache" / "programs")
        (home / "workbook" / milestone).mkdir(parents=True)
        for name, data in files.items():
            (home / "workbook" / milestone / name).write_bytes(data)
        process = subprocess.Popen(
            [sys.executable, "-m", "milestones.course.grade_process"],
            cwd=home / "here", env=environment(home), stdin=subprocess.PIPE, stdout=output, stderr=output,
            pass_fds=(answer.fileno(),), start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            arguments = [*OPTIONS, PROFILE, f"--hypothesis-seed={SEED}", str(spec)]
            job = {"arguments": arguments, "seal": seal, "answer": answer.fileno(), "seconds": limits.seconds}
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()  # it stays open: its end is the process's end
            state, why = _wait(process, limits)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # whatever it has begun and left
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        answer.seek(0)
        output.seek(max(0, output.seek(0, os.SEEK_END) - 4000))
        return Ending(state, why, _opened(answer.read(), seal), output.read().decode("utf-8", "replace").strip())


def _wait(process: subprocess.Popen, limits: Limits) -> tuple[str, str]:
    """Wait for its end: state and reason, both empty if it came by itself."""
    deadline = time.monotonic() + limits.seconds
    while process.poll() is None:
        if time.monotonic() > deadline:
            return "too long", f"it took more than {limits.seconds:g} seconds"
        if sum(_memory(process.pid)) > limits.gigabytes * 1e9:
            return "crashed", f"it took more than {limits.gigabytes:g} GB of memory"
        time.sleep(0.02)
    status = process.returncode
    return ("crashed", f"a signal ended it ({signal.Signals(-status).name})") if status < 0 else ("", "")


def _memory(pid: int) -> Iterator[int]:
    """Bytes of a process and of each that it began."""
    with contextlib.suppress(psutil.Error):
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                yield process.memory_info().rss


def _opened(data: bytes, seal: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(data)
        return answer if secrets.compare_digest(str(answer["seal"]), seal) else None
    except (ValueError, KeyError, TypeError):
        return None
