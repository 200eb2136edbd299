"""Every command shown in a document is run."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "metal" / "README.md",
    *sorted(ROOT.glob("milestones/m*/README.md")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """(document, command) for each line of each `sh` block; a trailing `# comment` is the reader's."""
    found = []
    for document in DOCUMENTS:
        for language, body in _FENCE.findall(document.read_text()):
            if language == "sh":
                found += [(document.relative_to(ROOT).as_posix(), line.strip()) for line in body.splitlines() if line.strip()]
    return found


def python_blocks() -> list[tuple[str, str]]:
    return [
        (document.relative_to(ROOT).as_posix(), body)
        for document in DOCUMENTS
        for language, body in _FENCE.findall(document.read_text())
        if language == "python"
    ]


def argv(command: str) -> list[str]:
    words = shlex.split(command, comments=True)
    if "|" in words or "$(" in command:
        return ["bash", "-o", "pipefail", "-c", command]
    if words[0] in ("firstlight", "pytest", "ruff", "mypy"):
        return [str(Path(sys.executable).parent / words[0]), *words[1:]]
    assert words[0] == "python", f"a document shows a command that no test knows how to run: {command}"
    return [sys.executable, *words[1:]]


def run(command: list[str], tmp_path: Path, *, served: bool = False) -> subprocess.CompletedProcess:
    """The command's end. One that serves until Ctrl-C gets that once it has said its address, and its page was asked for."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},  # of a process beside others
        "FIRSTLIGHT_WORKBOOK": str(tmp_path / "workbook"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "BROWSER": "true",  # the command that opens no window
    }
    command = command[:1] + [word.replace("/tmp/", f"{tmp_path}/") for word in command[1:]]  # what is written goes there
    how: dict[str, Any] = {"cwd": ROOT, "text": True, "stdin": subprocess.DEVNULL, "env": env}
    if not served:
        return subprocess.run(command, capture_output=True, timeout=600, **how)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(address, timeout=60) as page:
            assert page.status == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, address, errors)


COMMANDS = sorted(set(commands()))
QUICK = [c for c in COMMANDS if c[1].startswith("firstlight") or "| firstlight" in c[1]]
CI = [c for c in COMMANDS if c[1].startswith(("pip install", "ruff", "mypy")) or "git clone" in c[1]]
SLOW = [c for c in COMMANDS if c not in QUICK and c not in CI and not c[1].endswith(".ci/run")]
_SPECS = re.compile(r"pytest(?: -x)?((?: (?:milestones|tests)(?:/\w+)*(?:/test_\w+\.py)?)+)(?: -k (\w+))?$")
SPECS = [c for c in SLOW if _SPECS.match(c[1])]  # the suite itself runs these


@pytest.mark.slow
@pytest.mark.parametrize(("document", "command"), QUICK, ids=lambda value: value)
def test_a_documented_firstlight_command_works(model_path, tmp_path, document, command):
    done = run(argv(command), tmp_path, served=command == "firstlight diagrams")
    assert done.returncode == 0, f"{document}: `{command}` ended with {done.returncode}:\n{done.stderr}"
    assert done.stdout.strip() or done.stderr.strip(), f"{document}: `{command}` printed nothing"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("document", "command"), [c for c in SLOW if c not in SPECS], ids=lambda value: value)
def test_a_documented_test_command_works(model_path, tmp_path, document, command):
    if shlex.split(command, comments=True) in (["pytest"], ["pytest", "-m", "slow"]):
        pytest.skip("not run here: it would run itself; .ci/run runs it")
    few = ["--rounds=1"] if "--benchmark-only" in command else []  # its times are of no interest here
    done = run([*argv(command), *few], tmp_path)
    assert done.returncode == 0, (
        f"{document}: `{command}` ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-2000:]}"
    )


@pytest.fixture(scope="module")
def tests(tmp_path_factory) -> list[str]:
    """The names of all tests, as pytest finds them in a process of its own."""
    every = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0", "-m", "slow or not slow", "milestones", "tests"]
    done = run(every, tmp_path_factory.mktemp("found"))
    assert done.returncode == 0, done.stdout[-3000:]
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.mark.slow
@pytest.mark.parametrize(("document", "command"), SPECS, ids=lambda value: value)
def test_a_documented_spec_command_finds_tests(tests, document, command):
    """The suite itself runs them: here each path, with what -k asks for, must name some."""
    match = _SPECS.match(command)
    assert match is not None
    for path in match[1].split():
        assert (ROOT / path).exists(), f"{document}: `{command}`: there is no {path}"
        word = (match[2] or "").lower()
        assert any(name.startswith(path) and word in name.lower() for name in tests), f"{document}: `{command}` finds no test"


@pytest.mark.parametrize(("document", "command"), CI, ids=lambda value: value)
def test_a_documented_command_of_another_kind_is_what_ci_runs(document, command):
    """An installation would change the environment it runs in, linters read everything: .ci/run runs each, to the letter."""
    steps = (ROOT / ".ci" / "run").read_text().splitlines()
    steps = [part for line in steps for part in line.split(" && ")]
    for part in command.split(" && "):
        assert part in steps, f"{document} shows `{part}`, which .ci/run does not run"


@pytest.mark.parametrize(("document", "code"), python_blocks(), ids=lambda value: value[:40])
def test_a_documented_python_example_works(model_path, tmp_path, document, code):
    done = run([sys.executable, "-c", code], tmp_path)
    assert done.returncode == 0, f"{document}: the example failed:\n{done.stderr}"
