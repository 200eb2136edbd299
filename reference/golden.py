"""Golden fixtures: arrays made once by somebody else's code, kept as .npz beside the spec, with a manifest that says who
made them, with which versions, and their SHA-256. A fixture that no longer matches its manifest is an error, not a skip.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

import numpy as np


def load(folder: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of fixture `name` in a milestone's `golden/` folder. Raises ValueError if it was changed by hand."""
    entry = json.loads((folder / "manifest.json").read_text())[name]
    path = folder / f"{name}.npz"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != entry["sha256"]:
        raise ValueError(f"{path.name} is not the file that manifest.json describes; make it again: {entry['command']}")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def save(folder: Path, name: str, arrays: dict[str, np.ndarray], *, made_by: str, packages: list[str], command: str) -> None:
    """Write a fixture and its line in the manifest. `made_by` says whose code computed it; `packages` are versioned."""
    folder.mkdir(exist_ok=True)
    path, manifest = folder / f"{name}.npz", folder / "manifest.json"
    np.savez_compressed(path, allow_pickle=False, **arrays)
    entries = json.loads(manifest.read_text()) if manifest.exists() else {}
    entries[name] = {
        "made_by": made_by,
        "versions": {package: importlib.metadata.version(package) for package in packages},
        "command": command,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    manifest.write_text(json.dumps(dict(sorted(entries.items())), indent=2) + "\n")
