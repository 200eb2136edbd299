"""What pytest does where one of its processes ends in the middle of a test: tests/plugin/workers.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENDS = """
import os
def test_before(): pass
def test_ends(): os._exit(1)
def test_after(): pass
"""
PASSES = "def test_passes(): pass\n"
LATE = """
import os, time
def pytest_collection_modifyitems():
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw3": time.sleep(2)
"""


@pytest.mark.slow  # processes of pytest's own
@pytest.mark.parametrize("files", [["ends"], ["ends", "passes", "passes", "ends"], ["ends"] * 4])
def test_a_process_that_ends_costs_its_test_and_no_other(tmp_path, files):
    for n, kind in enumerate(files):
        (tmp_path / f"test_{n}.py").write_text(ENDS if kind == "ends" else PASSES, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(LATE, encoding="utf-8")  # of two new processes, one knows the tests first
    options = ["-p", "tests.plugin.workers", "-n", "2", "--dist", "loadfile", "-q"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=120)
    ended = files.count("ends")
    passed = 2 * ended + files.count("passes")
    assert f"{ended} failed, {passed} passed" in run.stdout, run.stdout
    assert run.stdout.count("crashed while running") >= ended and run.returncode == 1
