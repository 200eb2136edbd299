"""The OpenCL runtime under the portable device: opened once, asked to build programs."""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import re
import threading
import time
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from . import apart, choice, library
from .errors import SourceError, error
from .lowered import EPILOGUE, PROLOGUE, Lowered

OPTIONS = ["-cl-std=CLC++2021", "-cl-single-precision-constant"]
# Metal's fast math: reassociation, no NaN, no infinity. Not -cl-fast-relaxed-math, which would also take sin and cos (precise::
# ones too) to 2500 ulp and leave out the rounding of float(half(x)). A program that says `#pragma METAL fp math_mode(safe)`
# anywhere goes without, all of it: what is safe is right under fast math too.
FAST = ["-cl-unsafe-math-optimizations", "-cl-finite-math-only"]
_SAFE = re.compile(r"^\s*#pragma METAL\s+fp\s+math_mode\s*\(\s*safe\s*\)", re.MULTILINE)

# Every function is put into its kernel, as Apple's compiler does. Left standing it may be compiled for 32 lanes at once, and a
# vector of three is then handed over packed and taken up padded: the callee reads other lanes' components.
_INLINE = "#pragma clang attribute push(__attribute__((always_inline)), apply_to = function)\n"
_END = "\n#pragma clang attribute pop\n"
SETTLE = 0.5  # seconds, at most
KEPT = 64  # binaries, for sources that come to the same
LARGE = 8000  # characters of a checked program that is built apart: it takes seconds, a process half of one


class Runtime:
    """One OpenCL device with its context and its in-order queue."""

    def __init__(self) -> None:
        cl = choice.open_loader()
        self.cl = cl
        self.device = choice.choose(cl)
        self.context = cl.Context([self.device])
        self.queue = cl.CommandQueue(self.context)
        self.lock = threading.RLock()
        self.starting: Any = None  # what is being queued: an interrupt before a Run holds it must not free what runs
        self.forked = False  # whether this is a child of the process that opened it
        # Sources that differ in what is no part of the program, a threadgroup's width for one, are built once.
        self._built: dict[tuple[str, str], bytes] = {}
        os.register_at_fork(before=self._settle, after_in_parent=self._go_on, after_in_child=self._unlock)
        atexit.register(self.queue.finish)  # kernels must not outlive the memory they work on
        self.fingerprint = f"{self.device.name} {self.device.version} {self.device.driver_version} {_cpu_flags()}"

    def _settle(self) -> None:
        """Before a fork nothing may be in flight: the child has no worker threads, and would wait for ever for theirs.

        The runtime has locks of its own, which its workers hold while they go to sleep, and other threads while they learn that
        what they waited for is done: all of them get the time to, which is long where they are kept from running.
        """
        self.lock.acquire()
        self.queue.finish()
        until, asleep = time.monotonic() + SETTLE, 0
        while asleep < 2 and time.monotonic() < until:
            time.sleep(0.001)
            asleep = asleep + 1 if _others_sleep() else 0

    def _go_on(self) -> None:
        self.lock.release()

    def _unlock(self) -> None:
        self.forked = True
        self.lock = threading.RLock()  # held by a thread that the child has not

    def build(self, lowered: Lowered, before: str = "", *, fast: bool = True) -> bytes:
        """Compile a lowered program, `before` it, to a binary. Raises SourceError with the compiler's findings.

        It is to be loaded: a program keeps a megabyte and more of the compiler that made it, a loaded one next to nothing.
        """
        text = _INLINE + library.text(lowered.text) + before + PROLOGUE + lowered.text + EPILOGUE + _END
        options = " ".join(OPTIONS + FAST if fast and not _SAFE.search(lowered.text) else OPTIONS)
        with self.lock, warnings.catch_warnings():
            if (text, options) in self._built:
                return self._built[text, options]
            warnings.simplefilter("ignore")
            try:
                binary = (self.compiled if fast or len(lowered.text) < LARGE else apart.build)(text, options)
            except apart.RefusedError as problem:
                raise _findings(str(problem), lowered, text) from problem
            self._built[text, options] = binary
            if len(self._built) > KEPT:
                del self._built[next(iter(self._built))]
        return binary

    def compiled(self, text: str, options: str) -> bytes:
        """The binary of a program as the device's compiler reads it. Raises RefusedError with the compiler's log."""
        program = self.cl._cl._Program(self.context, text)
        try:
            program._build(options.encode(), [self.device])
        except self.cl.RuntimeError as problem:
            raise apart.RefusedError(program.get_build_info(self.device, self.cl.program_build_info.LOG)) from problem
        binary: bytes = program.get_info(self.cl.program_info.BINARIES)[0]
        return binary

    def load(self, binary: bytes) -> Any:
        """A program from its binary."""
        cl = self.cl
        with self.lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = cl._cl._Program(self.context, [self.device], [binary])
            program._build(b"", [self.device])
        return program

    def shared(self, address: int, length: int) -> Any:
        """Host memory as a kernel's argument. It holds no reference: whoever owns the memory must outlive the run."""
        return self.cl.SVM((ctypes.c_char * length).from_address(address))


def _findings(log: str, lowered: Lowered, text: str) -> error:
    """The device compiler's own errors, at the Metal source's lines. Rare: libclang has read the program before."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    begin = text.rindex(PROLOGUE + lowered.text[:40]) + len(PROLOGUE)
    found = []
    for match in re.finditer(r"^\d+:(\d+):(\d+): (?:fatal )?error: (.*)$", log, re.MULTILINE):
        offset = starts[int(match.group(1)) - 1] + int(match.group(2)) - 1 - begin
        found.append((lowered.origin(max(0, offset)), match.group(3)))
    return SourceError(lowered.where, found) if found else error("the device's compiler failed:\n" + log.strip())


def _others_sleep() -> bool:
    """Whether every other thread of this process sleeps: it has nothing to do, or waits for a lock."""
    own = str(threading.get_native_id())
    for task in Path("/proc/self/task").glob("*"):
        with suppress(OSError):  # one that has ended
            if task.name != own and (task / "stat").read_text().rpartition(") ")[2][0] != "S":
                return False
    return True


@cache
def _cpu_flags() -> str:
    """A short mark of the processor: a binary made for one with AVX-512 must not be loaded where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return hashlib.sha256(flags.group(1).encode()).hexdigest()[:8] if flags else ""


@cache
def runtime() -> Runtime:
    """The process's one runtime, opened on first use."""
    return Runtime()
