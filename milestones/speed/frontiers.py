"""The loop end to end by context length: prefill up to a frontier, decode from there; ours, and others beside it in one run."""

from __future__ import annotations

import csv
import io
import os
import platform
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from metal import health
from milestones.errors import UserError
from milestones.m7.engine import Engine, Progress
from milestones.m7.loop import Loop

ROUNDS = 3
THREADS = os.cpu_count() or 1
TEXT = "The history of the city begins with a river, a bridge and a market square where people met. "


@dataclass(frozen=True)
class Row:
    """One engine at one frontier. Rates in tokens a second, medians.

    `prefill`: of the tokens from the frontier before to this one. `spread`: (largest - least) / median of the decode rates.
    `bytes_read` by a decode step: weights and cache, where known.
    """

    engine: str
    context: int
    prefill: float
    decode: float
    spread: float
    cache_bytes: int
    bytes_read: int


class Runner(Protocol):
    """An engine that is measured: it holds tokens, takes more in, and goes back."""

    name: str

    def feed(self, ids: Sequence[int]) -> int:
        """Take in tokens after those held; returns the likeliest next one. Waits until it is known."""

    def rewind(self, length: int) -> None:
        """Forget every token from `length` on."""

    def sizes(self, length: int) -> tuple[int, int]:
        """(bytes of the cache that `length` tokens use, bytes of weights a decode step reads); 0 where that is not known."""


class Ours:
    """Firstlight on its device."""

    def __init__(self, engine: Engine, capacity: int, cache_dtype: str = "float32"):
        self.name = "firstlight"
        self._loop = Loop(engine.gpu, engine.model, capacity=capacity, cache_dtype=cache_dtype)
        self._weights = sum(info.nbytes for info in engine.file.tensors.values())

    def feed(self, ids: Sequence[int]) -> int:
        return self._loop.prefill(ids).id

    def rewind(self, length: int) -> None:
        self._loop.rewind(length)

    def sizes(self, length: int) -> tuple[int, int]:
        cache = self._loop.cache
        assert cache is not None
        return cache.nbytes * length // cache.capacity, self._weights


def run(runners: Sequence[Runner], ids: Sequence[int], contexts: Sequence[int], new: int, progress: Progress) -> list[Row]:
    """Measure each at each frontier, by turns, so that what disturbs the machine disturbs all. `ids`: a prompt long enough."""
    rows: list[Row] = []
    for runner in runners:  # warm: kernels compiled, memory touched
        following = runner.feed(ids[: min(32, contexts[0])])
        runner.feed([following])
        runner.rewind(0)
    before = 0
    for at, context in enumerate(contexts):
        for number, runner in enumerate(runners):
            progress("measuring", at * len(runners) + number, len(contexts) * len(runners))
            began = time.perf_counter()
            first = runner.feed(ids[before:context])
            prefill = (context - before) / (time.perf_counter() - began)
            rates = []
            for _ in range(ROUNDS):
                following, began = first, time.perf_counter()
                for _ in range(new):
                    following = runner.feed([following])
                rates.append(new / (time.perf_counter() - began))
                runner.rewind(context)
            cache, weights = runner.sizes(context)
            decode = statistics.median(rates)
            rows.append(Row(runner.name, context, prefill, decode, (max(rates) - min(rates)) / decode, cache, cache + weights))
        before = context
    return rows


def prompt(engine: Engine, tokens: int) -> list[int]:
    """A text of so many tokens."""
    ids = engine.encode(TEXT)
    return (ids * (tokens // len(ids) + 1))[:tokens]


def contexts_of(text: str, limit: int, new: int) -> list[int]:
    """The frontiers that "128,512" names, in order. UserError for what is none, or does not fit into `limit` tokens."""
    try:
        found = sorted({int(word) for word in text.split(",")})
    except ValueError:
        raise UserError(f"--contexts are whole numbers with commas between, as 128,512, got {text!r}") from None
    if found[0] < 1 or found[-1] + new > limit:
        raise UserError(f"--contexts must lie in 1 to {limit - new} (the model's context less {new} new tokens), got {text}")
    return found


def bandwidth(size: int = 1 << 28) -> float:
    """Bytes a second that all processors together read from memory, the best of several tries."""
    data = np.ones(size // 8, np.int64)
    parts = np.array_split(data, THREADS)
    best = 0.0
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(5):
            began = time.perf_counter()
            list(pool.map(np.max, parts))
            best = max(best, size / (time.perf_counter() - began))
    return best


def arithmetic(n: int = 1024) -> float:
    """Floating-point operations a second of NumPy's float32 product of two matrices, the best of several tries."""
    a, best = np.ones((n, n), np.float32), 0.0
    for _ in range(5):
        began = time.perf_counter()
        a @ a
        best = max(best, 2 * n**3 / (time.perf_counter() - began))
    return best


def machine() -> dict[str, Any]:
    """What a figure was measured on."""
    return {
        "device": health.device_name(),
        "processors": THREADS,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **health.packages(),
    }


def as_csv(rows: Sequence[Row], about: dict[str, Any]) -> str:
    """A line a row; the machine stands in the lines before, behind #."""
    out = io.StringIO()
    out.writelines(f"# {key}: {value}\n" for key, value in about.items())
    writer = csv.DictWriter(out, [*Row.__dataclass_fields__], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in asdict(row).items()} for row in rows)
    return out.getvalue()
