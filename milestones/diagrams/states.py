"""How the specs ended when they were last run here. pytest keeps it in the cache folder; without it nothing is claimed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from metal.paths import cache_dir
from milestones.files import alone, whole_file


def place() -> Path:
    """Where it is kept."""
    return cache_dir() / "specs.json"


def load() -> dict[str, dict[str, Any]]:
    """ "milestones/m3/test_softmax.py" → {"passed": 9, "failed": 0, "not_run": 1, "device": …}; nothing if there is no file."""
    try:
        kept = json.loads(place().read_text(encoding="utf-8"))
        return {
            name: one for name, one in kept.items() if all(type(one[key]) is int for key in ("passed", "failed", "not_run"))
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def save(found: dict[str, dict[str, Any]]) -> None:
    """Add these specs' results to those kept; whole or not at all. Two that save at once lose nothing. Raises OSError."""
    target = place()
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target.with_suffix(".lock")), whole_file(target) as file:
        file.write((json.dumps({**load(), **found}, indent=1, sort_keys=True) + "\n").encode())


def of(milestone: str) -> dict[str, Any]:
    """A milestone's specs together: its `state` is passed, failed or not run here, with the numbers of tests."""
    kept = [one for name, one in load().items() if name.startswith(f"milestones/{milestone}/")]
    sums = {key: sum(one[key] for one in kept) for key in ("passed", "failed", "not_run")}
    state = "failed" if sums["failed"] else "passed" if sums["passed"] else "not run here"
    device = next((str(one["device"]) for one in kept if one.get("device")), "")
    return {"milestone": milestone, "state": state, "device": device, **sums}
