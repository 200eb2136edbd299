"""What `pip install` installs: a wheel with every file that the code opens, from a build that warns of nothing."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from metal.source import ROOT

pytestmark = pytest.mark.slow
ROOMS = ("metal/", "reference/", "milestones/")


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The repository's files."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not run here: this is no git repository, so nobody says which files belong to it")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def built(tracked, tmp_path_factory) -> tuple[Path, str]:
    """The wheel, and what its build said. A copy is built: setuptools writes beside what it reads."""
    if int(importlib.metadata.version("setuptools").partition(".")[0]) < 77:
        pytest.skip("not run here: pip install 'setuptools>=77'")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    pip = [sys.executable, "-m", "pip", "wheel", "--verbose", *offline, "--wheel-dir", str(out), str(source)]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return next(out.glob("firstlight-*.whl")), done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(folder)
    return folder


def test_every_file_of_the_rooms_is_in_the_wheel_and_nothing_else(built, tracked):
    """Kernels, stubs, mutants, fixtures, pages: what is found in a clone must be found in an installation."""
    found = {name for name in zipfile.ZipFile(built[0]).namelist() if ".dist-info/" not in name}
    wanted = {name for name in tracked if name.startswith(ROOMS)}
    assert not wanted - found, "missing in the wheel: a kind of file that pyproject.toml's package-data does not name?"
    assert not found - wanted
    assert {"milestones/diagrams/page/style.css", "milestones/m3/softmax.metal", "metal/portable/checked/kernel.py"} <= found


def test_the_build_warns_of_nothing(built):
    for words in ("would be ignored", "Warning", "warning: no"):
        assert words not in built[1], built[1][-4000:]


def run(installed: Path, tmp_path: Path, *code: str) -> str:
    """Python with the installed files before all others, far from the repository."""
    env = {**os.environ, "PYTHONPATH": str(installed), "FIRSTLIGHT_WORKBOOK": str(tmp_path / "workbook")}
    done = subprocess.run([sys.executable, "-c", *code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_page_and_every_file_that_it_names_is_installed(installed, tmp_path):
    words = "from milestones.diagrams import site; print(site.__file__, all(one.data() for one in site.table().values()))"
    assert run(installed, tmp_path, words).split() == [str(installed / "milestones/diagrams/site.py"), "True"]


COMMANDS = [
    ("tokenize", "hello world"),
    ("check", "milestones/m2/rms_norm.metal"),
    ("start", "m2"),
    ("new", "--help"),
    ("hint", "m2", "add"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_installed_command_works_without_the_repository(installed, tmp_path, model_path, command):
    command = [str(installed / word) if word.endswith(".metal") else word for word in command]
    said = run(installed, tmp_path, "from milestones.start import main; main()", *command)
    assert said.strip() or command[0] == "check", "which says only what is wrong"


def test_checked_mode_is_installed(installed, tmp_path):
    """It is a folder of its own under the portable device's."""
    assert run(installed, tmp_path, "import metal.portable.checked.kernel as one; print(one.__file__)").startswith(
        str(installed)
    )
