"""Where things are kept between runs: compiled programs, the default model."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """The cache folder: `FIRSTLIGHT_CACHE`, or the user's own cache folder for this program. It may not exist yet."""
    return Path(os.environ.get("FIRSTLIGHT_CACHE") or platformdirs.user_cache_dir("firstlight"))
