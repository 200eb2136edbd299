"""The typed reading of a translated program, by libclang: diagnostics at the Metal source's own line, and Metal's rules.

libclang reads the lowered text as C++ for OpenCL together with the library, so types, overloads and address spaces are
checked by a real compiler front end before the device's compiler sees anything. What Apple refuses and OpenCL allows is
refused here on the found.
"""

from __future__ import annotations

import re
from typing import Any

from . import library
from .errors import SourceError
from .lowered import EPILOGUE, PROLOGUE, Lowered
from .parameters import GRAPHICS, NO_GRAPHICS
from .repair import conversions, wrap
from .rules import Rules

FILE = str(library.INCLUDE / "fl_program.cl")  # neither this nor the next is ever on disk: libclang gets them in memory
_LIBRARY = str(library.INCLUDE / "library-as-needed.h")
# the driver includes opencl-c-base.h by itself (libclang ships none), from the working folder first: ours, not the caller's
_ARGUMENTS = [
    *("-x", "cl", "-cl-std=clc++2021", "-target", "spir64", "-Wno-everything", "-ferror-limit=20"),
    *("-Wuninitialized", "-Wsometimes-uninitialized", "-Wconditional-uninitialized"),  # checked mode asks (instrument.py)
    "-cl-single-precision-constant",  # 2.5 is a float in Metal
    *("-working-directory", str(library.INCLUDE), "-I", str(library.INCLUDE), "-include", _LIBRARY),
]
_PASSES = 20  # a conversion in an operand is seen only once those inside it are there
_NOT_IN_A_KERNEL = "non-kernel function variable cannot be declared in local address space"
_WORDS = {"__global": "device", "__local": "threadgroup", "__constant": "constant", "__private": "thread"}

# our own types, and Clang's long name for a vector
_TYPES = {
    r"\bfl_bools<(\d)>": r"bool\1",
    r"\bfl_bfloats<(\d)>": r"bfloat\1",
    r"\bfl_packed<(\w+), (\d)>": r"packed_\1\2",
    r"\bunsigned (char|short|int|long) __attribute__\(\(ext_vector_type\((\d)\)\)\)": r"u\1\2",
    r"(\w+) __attribute__\(\(ext_vector_type\((\d)\)\)\)": r"\1\2",
}


def check(lowered: Lowered) -> Any:
    """Read the program with types; fills in each kernel's threadgroup_bytes. Raises SourceError with every error found.

    Returns libclang's unit of the program as it now is.
    """
    import clang.cindex as ci

    if templates := lowered.templates():
        check(templates)
    for _ in range(_PASSES):
        text = PROLOGUE + lowered.text + EPILOGUE
        files, raw = [(FILE, text), (_LIBRARY, library.text(lowered.text))], text.encode()
        unit = ci.Index.create().parse(FILE, args=_ARGUMENTS, unsaved_files=files)
        rules = Rules({k.entry: k for k in lowered.kernels.values()}, raw, lowered.version, FILE)
        wraps = conversions(unit.diagnostics, raw, FILE)
        if not wraps:
            for node in unit.cursor.get_children():
                if node.location.file and node.location.file.name == FILE:
                    rules.walk(node)
            wraps = rules.truths.wraps
        if not wraps:
            break
        wrap(lowered, wraps, raw, len(PROLOGUE))
    found = _Diagnostics(lowered, text)
    for d in unit.diagnostics:
        if d.severity >= ci.Diagnostic.Error and not (lowered.lenient and d.spelling.startswith(_NOT_IN_A_KERNEL)):
            found.report(d)
    rules.finish()
    for offset, finding in rules.findings:
        found.add(offset, finding)
    if found.findings:
        unique = _graphics(found.findings) or sorted(set(found.findings))
        raise SourceError(lowered.where, unique)
    return unit


def _graphics(findings: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Where names of graphics are unknown, one line that says so instead of all that follows from them."""
    for offset, text in findings:
        named = re.search(r"(?:identifier|template named|type name|type named) '([^']+)'", text)
        if named and GRAPHICS.fullmatch(named[1]):
            return [(offset, f"'{named[1]}' {NO_GRAPHICS}")]
    return []


def reword(message: str) -> str:
    """A Clang message in Metal's words: address spaces by their Metal names, our own names left out."""
    message = re.sub(r"^static assertion failed due to requirement '.*': (.*)$", r"\1", message)
    message = message.replace("local address space", "threadgroup address space")
    message = re.sub(r"\bnot (?:supported|allowed) in (?:C\+\+ for )?OpenCL\b", "not emulated here", message)
    for opencl, metal in _WORDS.items():
        message = re.sub(rf"\b{opencl}\b", metal, message)
    message = re.sub(r"\s*\*thread\b", " *", message)
    message = re.sub(r"'[^']*' \(aka '([^']*\bfl_[^']*)'\)", r"'\1'", message)  # vec<bool, fl_shape<…>> (aka fl_bools<4>)
    for ours, metal in _TYPES.items():
        message = re.sub(ours, metal, message)
    message = re.sub(r"\b(fl_inner\d+_)+", "", message)
    return message.replace("fl_ref_", "").replace("fl_kernel_", "").replace("metal::", "")


class _Diagnostics:
    """What was found, brought back from the translated text to the source."""

    def __init__(self, lowered: Lowered, text: str):
        self.lowered, self.text, self.shift = lowered, text, len(PROLOGUE)
        self.findings: list[tuple[int, str]] = []

    def add(self, offset: int, text: str) -> None:
        """A finding at libclang's `offset`, which counts bytes where we count characters."""
        if not self.text.isascii():
            offset = len(self.text.encode()[:offset].decode(errors="ignore"))
        self.findings.append((self.lowered.origin(offset - self.shift), text))

    def report(self, diagnostic) -> None:
        """An error. One inside the library stands where the program asks for it: a note says where ("in instantiation of …
        requested here"), but only with the first error there; what follows from that is left out."""
        places = [p.location for p in (diagnostic, *diagnostic.children) if p.location.file and p.location.file.name == FILE]
        if diagnostic.location.file and diagnostic.location.file.name == FILE:
            self.add(diagnostic.location.offset, reword(diagnostic.spelling))
        elif places:
            self.add(places[-1].offset, reword(diagnostic.spelling))
        elif not self.findings:
            self.add(len(PROLOGUE), reword(diagnostic.spelling))
