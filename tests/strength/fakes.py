"""A pytest plugin: kernels that compute nothing, in the place of real ones.

With `-p tests.strength.fakes --fake zeros:m2/rms_norm` that kernel is not run: every buffer that it may write is filled with
zeros; with `nan`, of NaN's bits; with `copy`, of the bytes of its first input, again and again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from metal import health
from metal.tensor import Tensor

FAKES = ("zeros", "nan", "copy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fake", metavar="KIND:mN/OP", help=f"one of {', '.join(FAKES)} instead of a kernel file's kernels")


def pytest_configure(config: pytest.Config) -> None:
    fake = config.getoption("fake")
    if not fake:
        return
    kind, _, name = fake.partition(":")

    class FakeGpu(health.SpecGpu):
        def run(self, function: Any, threads: int, *arguments: Any) -> None:
            super().run(function, threads, *arguments) if self.named(function) != name else self._fill(function, arguments)

        def _fill(self, function: Any, arguments: tuple) -> None:
            self.sync()
            health.dispatched.add(name)
            raw = [memoryview(a.buffer if isinstance(a, Tensor) else a).cast("B") for a in arguments]
            written = {b.index for b in function._info.buffers if b.writable}
            first = bytes(raw[min(set(range(len(raw))) - written)])
            for index in written:
                fill(np.frombuffer(raw[index], np.uint8), kind, first)

    health.SpecGpu = FakeGpu  # type: ignore[misc]


def fill(out: np.ndarray, kind: str, first: bytes) -> None:
    """Write what a fake kernel writes into a buffer's bytes."""
    if kind == "zeros":
        out[:] = 0
    elif kind == "nan":
        out[:] = np.resize(np.frombuffer(np.float32(np.nan).tobytes(), np.uint8), out.size)
    else:
        out[:] = np.resize(np.frombuffer(first, np.uint8), out.size)
