"""Benchmarks of kernels (`bench_OP.py`): compared with what, checked before and after, and a table that says what they mean.

    def test_kernel(speed):
        speed("softmax 1 × 49152", "kernel", run, check=is_right, nbytes=…, flops=…)

The roles: "baseline" (the naive kernel, what others are measured from), "kernel" or "kernel v2" …, "pytorch", or a library's
name. What bounds them, the memory's bytes a second and the processors' multiply-adds, is measured in the same run.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from metal.tensor import Gpu, Tensor, poison


def one_or_more(given: str) -> int:
    """A number of rounds. Raises ArgumentTypeError: 0 would be as many as the benchmark itself takes."""
    rounds = int(given)
    if rounds < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {given}")
    return rounds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rounds", type=one_or_more, metavar="N", help="How often each benchmark is timed (not given: as it says)."
    )


@pytest.fixture
def rounds_of(pytestconfig: pytest.Config) -> Callable[[int], int]:
    """How many rounds, where the benchmark itself would take so many."""
    return lambda usual: pytestconfig.getoption("rounds") or usual


@pytest.fixture
def speed(benchmark: Any, rounds_of: Callable[[int], int]) -> Callable[..., None]:
    """Times `run()`, which must wait for its result. `fresh()` is called before each round, outside of its time.

    `check()` raises if the result is wrong: it is called after the first run and the last, whose outputs `fresh()` poisoned.
    `nbytes`: read and written by one run; `flops`: its floating-point operations.
    """

    def timed(
        group: str,
        role: str,
        run: Callable[[], object],
        *,
        check: Callable[[], None] | None = None,
        fresh: Callable[[], object] | None = None,
        nbytes: float = 0,
        flops: float = 0,
        rounds: int = 15,
    ) -> None:
        again = fresh or (lambda: None)

        def proved() -> None:
            again()
            run()
            if check is not None:
                check()

        proved()
        benchmark.group = group
        benchmark.extra_info |= {"role": role, "bytes": nbytes, "flops": flops}
        benchmark.pedantic(run, setup=lambda: again() and None, rounds=rounds_of(rounds), warmup_rounds=1)
        proved()

    return timed


@dataclass(frozen=True)
class Run:
    """One way to do what is timed. `queue()` queues it, and writes `outs`; `ready()` is called before each run, after `outs`
    were poisoned; `read()` gives what is compared with theirs: `outs`, if not said."""

    queue: Callable[[], object]
    outs: Sequence[Tensor]
    nbytes: float = 0
    ready: Callable[[], object] = lambda: None
    read: Callable[[], Sequence[np.ndarray]] | None = None


@pytest.fixture
def ladder(speed: Callable[..., None], bench_gpu: Gpu) -> Callable[..., None]:
    """Several ways to one result, and somebody else's: `ladder(role, group, {role: Run(…), …}, theirs, …)`.

    `theirs()` gives an array, a torch tensor or several; a role that is not among the runs, "pytorch" or a library's name,
    times it, with `nbytes`. Of a run's results as many elements as theirs have must be theirs within `rtol`, and `atol` of the
    largest, before and after.
    """

    def timed(
        role: str, group: str, runs: dict[str, Run], theirs: Callable[[], Any], *,
        nbytes: float = 0, rtol: float = 1e-4, atol: float = 1e-5, **figures: Any,
    ) -> None:  # fmt: skip
        if role not in runs:
            speed(group, role, theirs, nbytes=nbytes, **figures)
            return
        way, made = runs[role], theirs()
        expected = [np.asarray(one).reshape(-1) for one in (made if isinstance(made, list | tuple) else [made])]

        def run() -> None:
            way.queue()
            bench_gpu.sync()

        def check() -> None:
            got = way.read() if way.read else [out.numpy() for out in way.outs]
            for array, wanted in zip(got, expected, strict=True):
                off = atol * float(np.abs(wanted).max())
                np.testing.assert_allclose(array.reshape(-1)[: wanted.size], wanted, rtol, off)

        def fresh() -> None:
            for out in way.outs:
                poison(out)
            way.ready()

        speed(group, role, run, check=check, fresh=fresh, nbytes=way.nbytes, **figures)

    return timed


@pytest.fixture
def versus(ladder: Callable[..., None]) -> Callable[..., None]:
    """A float kernel, or the same in PyTorch: `versus(role, group, kernel, out, pytorch, arrays, …)`.

    `kernel()` queues a run that writes the tensor `out`; `pytorch(*arrays)` takes NumPy's arrays as torch tensors. The role
    "pytorch" times the latter, any other the kernel.
    """
    import torch

    def timed(
        role: str, group: str, kernel: Callable[[], object], out: Tensor, pytorch: Callable[..., Any],
        arrays: Sequence[np.ndarray], *, nbytes: float = 0, **options: Any,
    ) -> None:  # fmt: skip
        inputs = [torch.from_numpy(array) for array in arrays]
        runs = {} if role == "pytorch" else {role: Run(kernel, [out], nbytes)}
        ladder(role, group, runs, lambda: pytorch(*inputs), nbytes=nbytes, **options)

    return timed


@pytest.fixture(scope="session")
def bench_gpu(gpus: Callable[[int], Gpu]) -> Gpu:
    """The device, where there is one, as the engine uses it: unchecked, at the width that it takes itself."""
    return Gpu()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table: time, times as fast as the baseline and as PyTorch, GB/s, GFLOP/s, share of what the machine allows."""
    session = getattr(config, "_benchmarksession", None)
    groups: dict[str, list[Any]] = defaultdict(list)
    for bench in getattr(session, "benchmarks", None) or ():
        if "role" in bench.extra_info and bench.stats.rounds:
            groups[bench.group].append(bench)
    if not groups:
        return
    from milestones.speed.frontiers import (  # and with it the engine, which most runs of pytest have no use for
        arithmetic,
        bandwidth,
    )

    memory, flops = bandwidth(), arithmetic()
    row = "{:34} {:>10} {:>10} {:>10} {:>8} {:>9} {:>8}"
    machine = f"memory gives {memory / 1e9:.1f} GB/s, a float product {flops / 1e9:.0f} GFLOP/s"
    terminalreporter.section(f"speed (medians; {machine})")
    for group, found in groups.items():
        medians = {bench.extra_info["role"]: statistics.median(bench.stats.data) for bench in found}
        terminalreporter.write_line(row.format(group, "ms", "×baseline", "×pytorch", "GB/s", "GFLOP/s", "bound"))
        for bench in found:
            role, info = bench.extra_info["role"], bench.extra_info
            median = medians[role]

            def times(other: str, median: float = median, medians: dict[str, float] = medians) -> str:
                return f"{medians[other] / median:.2f}" if other in medians else ""

            gave, did = info["bytes"] / median, info["flops"] / median
            cells = [f"{median * 1e3:.3f}", times("baseline"), times("pytorch"), f"{gave / 1e9:.2f}" if gave else ""]
            share = max(gave / memory, did / flops)
            cells += [f"{did / 1e9:.2f}" if did else "", f"{share:.0%}" if share else ""]
            terminalreporter.write_line(row.format(f"  {role}", *cells))
