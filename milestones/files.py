"""Files that are there whole or not at all, and changes that wait for each other."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[IO[bytes]]:
    """A file to write to, which gets its name when all is written; where anything goes wrong, Ctrl-C too, nothing stays behind.

    Raises OSError if it cannot be written, or what has that name is no plain file but a pipe, say; FileExistsError if one of
    that name came to be meanwhile and not `replace`.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "it is no plain file")
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part", delete=False) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        if replace or not _linked(temporary, path):
            os.replace(temporary, path)
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold the file `lock`, which stays there empty: who else wants it, in this process or another, waits. Raises OSError."""
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the system lets go of it however this process ends
        yield


def _linked(temporary: Path, path: Path) -> bool:
    """Give the file its name unless somebody else has taken it; False where the file system knows no links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
