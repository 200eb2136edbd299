"""Benchmarks of kernels (`bench_OP.py`): compared with what, checked before and after, and a table that says what they mean.

    def test_kernel(speed):
        speed("softmax 1 × 49152", "kernel", run, check=is_right, nbytes=…, flops=…)

The roles: "baseline" (the naive kernel, what others are measured from), "kernel" or "kernel v2" …, "pytorch", or a library's
name. What the memory can give is measured in the same run.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from metal.tensor import Gpu, Tensor, poison


@pytest.fixture
def speed(benchmark: Any) -> Callable[..., None]:
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
        benchmark.pedantic(run, setup=lambda: again() and None, rounds=rounds, warmup_rounds=1)
        proved()

    return timed


@pytest.fixture
def versus(speed: Callable[..., None]) -> Callable[..., None]:
    """A float kernel, or the same in PyTorch: `versus(role, group, kernel, out, pytorch, arrays, …)`.

    `kernel()` queues a run that writes the tensor `out`; `pytorch(*arrays)` takes NumPy's arrays as torch tensors. The role
    "pytorch" times the latter, any other the kernel, whose result must be PyTorch's within `rtol` and `atol`, both times.
    """
    import torch

    def timed(
        role: str, group: str, kernel: Callable[[], object], out: Tensor, pytorch: Callable[..., Any],
        arrays: Sequence[np.ndarray], *, gpu: Gpu, rtol: float = 1e-4, atol: float = 1e-5, **figures: float,
    ) -> None:  # fmt: skip
        inputs = [torch.from_numpy(array) for array in arrays]
        expected = pytorch(*inputs).numpy()

        def run() -> None:
            kernel()
            gpu.sync()

        def check() -> None:
            np.testing.assert_allclose(out.numpy(), expected.reshape(out.shape), rtol, atol)

        if role == "pytorch":
            speed(group, role, lambda: pytorch(*inputs), **figures)
        else:
            speed(group, role, run, check=check, fresh=lambda: poison(out), **figures)

    return timed


@pytest.fixture(scope="session")
def bench_gpu(gpus: Callable[[int], Gpu]) -> Gpu:
    """The device, where there is one, as the engine uses it: unchecked, at the width that it takes itself."""
    return Gpu()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table: time, times as fast as the baseline and as PyTorch, GB/s, GFLOP/s, share of what the memory gives."""
    session = getattr(config, "_benchmarksession", None)
    groups: dict[str, list[Any]] = defaultdict(list)
    for bench in getattr(session, "benchmarks", None) or ():
        if "role" in bench.extra_info and bench.stats.rounds:
            groups[bench.group].append(bench)
    if not groups:
        return
    from milestones.speed.frontiers import bandwidth  # and with it the engine, which most runs of pytest have no use for

    memory = bandwidth()
    row = "{:34} {:>10} {:>10} {:>10} {:>8} {:>9} {:>8}"
    terminalreporter.section(f"speed (medians; memory gives {memory / 1e9:.1f} GB/s)")
    for group, found in groups.items():
        medians = {bench.extra_info["role"]: statistics.median(bench.stats.data) for bench in found}
        terminalreporter.write_line(row.format(group, "ms", "×baseline", "×pytorch", "GB/s", "GFLOP/s", "memory"))
        for bench in found:
            role, info = bench.extra_info["role"], bench.extra_info
            median = medians[role]

            def times(other: str, median: float = median, medians: dict[str, float] = medians) -> str:
                return f"{medians[other] / median:.2f}" if other in medians else ""

            gave, did = info["bytes"] / median, info["flops"] / median
            cells = [f"{median * 1e3:.3f}", times("baseline"), times("pytorch"), f"{gave / 1e9:.2f}" if gave else ""]
            cells += [f"{did / 1e9:.2f}" if did else "", f"{gave / memory:.0%}" if gave else ""]
            terminalreporter.write_line(row.format(f"  {role}", *cells))
