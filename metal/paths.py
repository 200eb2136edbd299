"""Where things are kept between runs: compiled programs, the default model."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """The cache folder: `FIRSTLIGHT_CACHE`, or the user's own cache folder for this program. It may not exist yet."""
    return Path(os.environ.get("FIRSTLIGHT_CACHE") or platformdirs.user_cache_dir("firstlight"))


def own_cache(folder: Path) -> Path:
    """Make `folder` a cache with programs of its own; model and vocabularies, where they are here, are linked."""
    folder.mkdir(parents=True, exist_ok=True)
    for kept in ("models", "vocabularies"):
        there, link = (cache_dir() / kept).absolute(), folder / kept
        if link.is_symlink() and link.readlink() != there:
            link.unlink()  # the cache was elsewhere then
        if there.is_dir() and not link.exists():
            with contextlib.suppress(FileExistsError):  # another process was quicker
                link.symlink_to(there)
    return folder
