"""pytest's setting for the whole repository: the device, its widths, what runs in how many processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from hypothesis import Phase, settings

from metal import health
from metal.source import WIDTHS
from metal.tensor import Gpu

# How thorough a property is: `--hypothesis-profile=thorough`. strength is for mutants: neither shrunk nor kept.
SCALE = {"dev": 1, "ci": 1, "thorough": 20, "strength": 1}
_OF_ITS_OWN: dict[str, Any] = {
    "ci": {"print_blob": True},
    "strength": {"database": None, "phases": (Phase.explicit, Phase.generate)},
}
for _name, _scale in SCALE.items():
    _others = {"deadline": None, "report_multiple_bugs": False, **_OF_ITS_OWN.get(_name, {})}
    settings.register_profile(_name, max_examples=100 * _scale, **_others)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_EARLY = Path(__file__).parent / "tests"

pytest_plugins = [f"tests.plugin.{name}" for name in ("seam", "report", "results", "speed", "workers")]


def examples(number: int, **others: Any) -> settings:
    """Hypothesis's settings for a property that needs `number` examples in the profile dev; more in a more thorough one."""
    return settings(max_examples=number * SCALE[settings.get_current_profile_name()], **others)


def one_in(n: int, cases: Iterable[Any]) -> list[Any]:
    """The cases of a test, all but the first of every `n` in the slow suite: a kernel takes a second or more to compile."""
    made = []
    for at, case in enumerate(cases):
        values, name = (case.values, case.id) if isinstance(case, ParameterSet) else (case, None)
        values = values if isinstance(values, tuple) else (values,)
        made.append(pytest.param(*values, id=name, marks=[pytest.mark.slow] if at % n else []))
    return made


@lru_cache(maxsize=1)
def missing_device() -> str | None:
    """None if there is a device that runs the kernels; else why not, for "not run here"."""
    return health.missing_device()


def need_device() -> None:
    """To be called by a fixture: without a device, what asks for it is not run here."""
    reason = missing_device()
    if reason:
        pytest.skip(f"not run here: {reason}")


def pytest_addoption(parser) -> None:
    words = "what the portable device looks for: default, all, off, or names of checks (not given: default; ours of m6: off)"
    parser.addoption("--checks", help=words)
    words = "the threadgroup widths to test at, as 32,256 (a quick look: tests that are given another one run at the first)"
    parser.addoption("--widths", type=_widths, default=WIDTHS, help=words)


def _widths(text: str) -> tuple[int, ...]:
    widths = tuple(int(word) for word in text.split(","))
    if not set(widths) <= set(WIDTHS):
        raise ValueError(f"specs run at the widths {', '.join(map(str, WIDTHS))}")
    return widths


def pytest_configure(config) -> None:
    health.spec_checks = config.getoption("checks") or health.spec_checks


@pytest.fixture(scope="session")
def gpus(pytestconfig):
    """width → Gpu with poisoned outputs and checked kernels; they are compiled once a session for each width."""
    return gpus_by_width(pytestconfig)


def gpus_by_width(config: pytest.Config, checks: str | None = None) -> Callable[[int], Gpu]:
    """width → its device, made once; at the first of `--widths` for one that is not among them."""
    need_device()
    made: dict[int, Gpu] = {}
    widths = config.getoption("widths")

    def get(width: int) -> Gpu:
        width = width if width in widths else widths[0]
        if width not in made:
            made[width] = health.spec_gpu(width, checks)
        return made[width]

    return get


@pytest.fixture(scope="session")
def whole_gpu() -> Gpu:
    """The device for specs of more than a kernel, of a tokenizer or a model: each kernel is checked in its own spec."""
    need_device()
    return health.spec_gpu(256, checks="off")


@pytest.fixture(params=WIDTHS, ids=lambda width: f"width{width}")
def gpu(request, gpus) -> Gpu:
    """The device at each threadgroup width in turn: no kernel may depend on one."""
    return gpus(request.param)


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The default model's file, fetched if it can be."""
    from milestones.errors import UserError
    from milestones.m1.fetch import default_model

    try:
        return default_model()
    except UserError as problem:
        reason = "the default model is not in the cache and could not be fetched: firstlight fetch"
        pytest.skip(f"not run here: {reason} ({problem})")


def pytest_ignore_collect(collection_path, config) -> bool | None:
    """tests/strength takes many minutes: it is collected only when it is asked for."""
    strength = Path(__file__).parent / "tests" / "strength"
    asked = [Path(str(argument).partition("::")[0]).absolute() for argument in config.invocation_params.args]
    return True if collection_path == strength and not any(path.is_relative_to(strength) for path in asked) else None


def pytest_collection_modifyitems(config, items) -> None:
    """A benchmark is never a timed test: bench_*.py runs only with --benchmark-only. --widths leaves other widths out."""
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(
        key=lambda item: (item.path not in long, _EARLY not in item.path.parents)
    )  # what takes long is not left for the end
    widths = config.getoption("widths")
    timing = config.getoption("benchmark_only", False)
    benches = [i for i in items if i.path.name.startswith("bench_") != timing]
    others = [i for i in items if hasattr(i, "callspec") and i.callspec.params.get("gpu", widths[0]) not in widths]
    left_out = set(benches + others)
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
