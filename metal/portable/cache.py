"""Compiled programs on disk: one file each, found by what went into it, moved into place whole, oldest-used removed first.

The folder is `programs/` in the cache folder. It is kept under FIRSTLIGHT_CACHE_MB megabytes (256 if unset; 0 keeps nothing).
Several processes may use it at once: an entry is whole or not there, and one that another process removed is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
from functools import cache
from pathlib import Path

from metal.paths import cache_dir

from . import library
from .errors import error

DEFAULT_MB = 256
ROOM_LEFT = 0.9  # how full a pruned cache is: pruning at every write would read the whole folder each time
_lock = threading.Lock()
_sizes: dict[Path, int] = {}  # folder → bytes in it: read once by this process, then kept up by its own writes


@cache
def translator_mark() -> str:
    """Changes whenever the translator does, so that an entry made by another version is never used."""
    digest = hashlib.sha256()
    for path in sorted([*Path(__file__).parent.rglob("*.py"), *library.INCLUDE.glob("*.h")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key(source: str, *parts: str) -> str:
    """The name of an entry: of the source, the translator, and what else decides how a program is built."""
    return hashlib.sha256("\0".join((source, translator_mark(), *parts)).encode()).hexdigest()


def read(name: str) -> tuple[dict, bytes] | None:
    """(description, binary) of a cached program; None if there is none or it is damaged (it is then made again)."""
    path = _folder() / name[:2] / name
    try:
        blob = path.read_bytes()
        digest, rest = blob[:32], blob[32:]
        if hashlib.sha256(rest).digest() != digest:
            return None
        head, binary = rest.split(b"\n", 1)
        found = json.loads(head), binary
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # when it was last of use; a file system's own access times are often switched off
    return found


def write(name: str, description: dict, binary: bytes) -> None:
    """Keep a compiled program. A folder that cannot be written means only a slower next start."""
    rest, most = json.dumps(description).encode() + b"\n" + binary, limit()
    if len(rest) > most:
        return
    folder = _folder() / name[:2]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(rest).digest() + rest)
            os.replace(temporary, folder / name)
        except OSError:
            os.unlink(temporary)
            raise
    except OSError:
        return
    with _lock:
        root = _folder()
        if root in _sizes:
            _sizes[root] += len(rest) + 32
        if root not in _sizes or _sizes[root] > most:
            _sizes[root] = _prune(root, most)


def limit() -> int:
    """How many bytes may be kept. Raises `metal.error` if FIRSTLIGHT_CACHE_MB is no number of megabytes."""
    asked = os.environ.get("FIRSTLIGHT_CACHE_MB", "").strip() or str(DEFAULT_MB)
    try:
        megabytes = float(asked)
        if not 0 <= megabytes < 1e9:
            raise ValueError
    except ValueError:
        raise error(f"FIRSTLIGHT_CACHE_MB must be a number of megabytes, 0 or more, got {asked!r}") from None
    return int(megabytes * 1e6)


def _folder() -> Path:
    return cache_dir() / "programs"


def _prune(root: Path, most: int) -> int:
    """Remove the files that were not used for longest until there is room; returns the bytes that are left.

    A temporary file that a killed process left behind is a file like the others, and goes when it is the oldest.
    """
    files = []
    for part in root.glob("*/*"):
        with contextlib.suppress(OSError):  # another process may be pruning too
            found = part.stat()
            files.append((found.st_mtime_ns, found.st_size, part))
    left = sum(size for _, size, _ in files)
    if left > most:
        for _, size, part in sorted(files):
            if left <= most * ROOM_LEFT:
                break
            with contextlib.suppress(OSError):
                part.unlink()
            left -= size
    return left
