"""`firstlight new`: the files of a new op, whole or not at all, that fail in words until what they mark is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from milestones.course.new_op import EXERCISES, GAP, PLACES, class_name, lay_out, render
from milestones.errors import UserError
from tests.command import firstlight, refused

ROOT = Path(__file__).parent.parent


@pytest.fixture
def clone(tmp_path) -> Path:
    """As much of a clone as `lay_out` looks at: m2 with an op."""
    exercise = tmp_path / "milestones" / "m2" / "exercise"
    exercise.mkdir(parents=True)
    (tmp_path / "conftest.py").touch()
    (tmp_path / "milestones" / "m2" / "__init__.py").touch()
    (exercise / "exercise.toml").write_text('[[op]]\nname = "add"\n')
    return tmp_path


def everything(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_every_file_of_an_op_is_laid_out_and_it_comes_last_in_the_course(clone):
    written = lay_out("soft_cap", "m2", clone)
    made = everything(clone)
    assert {path.as_posix() for path in written} == set(made) - {"conftest.py", "milestones/m2/__init__.py"}
    assert made["milestones/m2/exercise/exercise.toml"].startswith('[[op]]\nname = "add"\n\n[[op]]\nname = "soft_cap"\n')
    assert "class SoftCap:" in made["milestones/m2/soft_cap.py"] and "def soft_cap(" in made["reference/soft_cap.py"]
    assert all(GAP in made[path.as_posix()] for path in written), "each has something to write"
    assert not [text for text in made.values() if "$" in text], "a placeholder was left"


def test_a_milestone_without_exercises_gets_its_first(clone):
    (clone / "milestones/m2/exercise/exercise.toml").unlink()
    lay_out("soft_cap", "m2", clone)
    assert (clone / "milestones/m2/exercise/exercise.toml").read_text().startswith("# The order of m2's ops")


@pytest.mark.parametrize("there", ["reference/soft_cap.py", "milestones/m2/mutants/soft_cap.toml", "milestones/m2/soft_cap.py"])
def test_nothing_is_written_where_something_is_already(clone, there):
    (clone / there).parent.mkdir(parents=True, exist_ok=True)
    (clone / there).write_text("mine\n")
    before = everything(clone)
    with pytest.raises(UserError, match=f"there is a {there} already: nothing was written"):
        lay_out("soft_cap", "m2", clone)
    assert everything(clone) == before


def test_what_cannot_be_written_leaves_nothing_half_written(clone):
    (clone / "reference").write_text("a file where a folder should be\n")
    before = everything(clone)
    with pytest.raises(UserError, match="cannot be written"):
        lay_out("soft_cap", "m2", clone)
    assert everything(clone) == before


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("Soft", "is no name for an op"),
        ("soft-cap", "is no name for an op"),
        ("../cap", "is no name for an op"),
        ("2cap", "is no name for an op"),
        ("lambda", "is no name for an op"),
        ("soft__cap", "is no name for an op"),
        ("a" * 25, "too long"),
        ("test_cap", "clash"),
        ("run", "clash"),
        ("torch", "clash"),
        ("half", "no kernel can be called 'half'"),
        ("add", "exercise.toml has an op 'add' already"),
    ],
)
def test_a_name_that_cannot_be_an_ops_is_refused(clone, op, message):
    before = everything(clone)
    with pytest.raises(UserError, match=message):
        lay_out(op, "m2", clone)
    assert everything(clone) == before


def test_new_without_a_clone_says_so(tmp_path):
    with pytest.raises(UserError, match="git clone"):
        lay_out("soft_cap", "m2", tmp_path)


@pytest.mark.slow
def test_the_command_refuses_in_one_line():
    """What the repository has is not written over, whatever the milestone."""
    refused(firstlight("new", "soft_cap", "--milestone", "m9"), "there is no milestone 'm9'", "m0", "m7")
    refused(firstlight("new", "softmax", "--milestone", "m2"), "there is a reference/softmax.py already")
    refused(firstlight("new", "soft cap", "--milestone", "m2"), "no name for an op")
    refused(firstlight("new", "soft_cap"), "--milestone")


def test_no_gap_of_a_template_is_left():
    """A new op is finished when nothing in its files is to be written."""
    files = [p for room in ("reference", "milestones/m*") for top in ROOT.glob(room) for p in top.rglob("*.*") if p.is_file()]
    texts = {path: path.read_bytes() for path in files if path.suffix in (".py", ".metal", ".h", ".toml")}
    assert not [path.relative_to(ROOT).as_posix() for path, text in texts.items() if GAP.encode() in text]


# what fills a new op: file (or template) → gaps and what is written there
RECTIFY = {
    "reference.py.in": {
        "torch.tensor([1.0, 2.0])": "torch.tensor([-1.0, 2.0])",
        "raise NotImplementedError(": "return x.relu()  # (",
    },
    "mistakes.py.in": {
        "    raise NotImplementedError(": "    return x  # (",
        "TO WRITE: words that complete: the output equals …": "the input",
    },
    "kernel.metal.in": {"// TO WRITE: y[i] = ...": "y[i] = max(x[i], 0.0f);"},
    "spec.py.in": {
        "    raise NotImplementedError(": "    return np.maximum(x, 0)  # (",
        "x, y = np.float32([]), np.float32([])": "x, y = np.float32([-1, 2]), np.float32([0, 2])",
    },
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A copy of this repository with a new op, m2/rectify."""
    copy = tmp_path_factory.mktemp("new") / "repository"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "workbook", "__pycache__", "*.egg-info"))
    lay_out("rectify", "m2", copy)
    return copy


def run(repository: Path, *words: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(repository)}
    return subprocess.run([sys.executable, "-m", *words], cwd=repository, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_new_op_fails_in_words_that_say_what_to_write(repository):
    """No traceback of ours, nothing passed that reaches the kernel, and the house's own rules ask for the rest."""
    done = run(repository, "pytest", "-n0", "--hypothesis-profile=strength", "milestones/m2/test_rectify.py")
    assert done.returncode == 1, done.stdout + done.stderr
    failures = done.stdout.partition("= FAILURES =")[2].partition("= short test summary info =")[0]
    for what in ("rectify in plain PyTorch (reference/rectify.py)", "worked by hand", "(reference/mistakes/rectify.py)"):
        assert f"{GAP}: " in failures and what in failures
    assert "Traceback" not in failures and "Error: " not in failures.replace("NotImplementedError: TO WRITE", "")
    assert "4 passed" in done.stdout, "the misfits: they never reach the kernel"
    house = run(repository, "pytest", "-n0", "-q", "tests/test_house.py", "-k", "rectify")
    assert "1 failed" in house.stdout and f"{GAP}: rectify in plain" in house.stdout, house.stdout


@pytest.mark.slow
def test_a_new_op_satisfies_linters(repository):
    pytest.importorskip("ruff", reason="not run here: ruff is not installed: pip install -e '.[lint]'")
    pytest.importorskip("mypy", reason="not run here: mypy is not installed: pip install -e '.[lint]'")
    files = [place.format(op="rectify", milestone="m2") for name, place in PLACES.items() if name.endswith(".py.in")]
    typed = [file for file in files if "test_" not in file]
    for words in (("ruff", "check", *files), ("ruff", "format", "--check", *files), ("mypy", *typed)):
        done = run(repository, *words)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_new_op_passes_once_its_gaps_are_filled(repository):
    """The kernel last: until then the spec says that nothing was written. Its mutant is caught by the test that it names."""
    for template, gaps in RECTIFY.items():
        path = repository / PLACES[template].format(op="rectify", milestone="m2")
        text = path.read_text()
        for gap, filled in gaps.items():
            assert gap in text, f"{template}: {gap}"
            text = text.replace(gap, filled)
        path.write_text(text)
    table = repository / "reference" / "tolerance.py"
    spec = ("pytest", "-n0", "-q", "--hypothesis-profile=strength", "milestones/m2/test_rectify.py")
    assert "rectify has no tolerance yet" in run(repository, *spec).stdout
    table.write_text(table.read_text().replace("EXTRA = {\n", 'EXTRA = {\n    "rectify": 0,  # nothing rounds\n'))
    done = run(repository, *spec)
    assert done.returncode == 0, done.stdout
    caught = run(repository, "tests.strength.mutants", "m2", "rectify")
    assert caught.returncode == 0 and "caught  m2/rectify/rectify_tail_unguarded" in caught.stdout, caught.stdout


def test_class_names_and_templates_are_ready_for_any_op():
    assert class_name("rms_norm") == "RmsNorm" and class_name("q8_0") == "Q80"
    for template in (*PLACES, EXERCISES):
        assert GAP in render(template, "soft_cap", "m2")
        assert max(map(len, render(template, "a" * 24, "m2").splitlines())) <= 128, template
