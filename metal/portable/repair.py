"""What Metal allows and Clang's OpenCL refuses, mended where libclang points: no token shows it, only types do.

Everyday Metal:
  * `Args a = args;` from constant memory. OpenCL gives structs no copy out of it; the right side becomes `fl_copy(args)`, as do
    both sides of `first ? a : b` where they are in two address spaces.
  * `half4 * 0.5f`, `uchar4 + 10`. OpenCL refuses a scalar of a higher rank than the vector's components; Metal converts it. It
    becomes `fl_fit<decltype(+(vector))>(scalar)`, which in a template also holds for the other instances.
  * `float4 sums = {0}`. OpenCL wants every component; in Metal, as in C++, those left out are 0.
  * `flag ? b : f` of a bfloat and a float, a float. Ours turns into a float and back, so both would do.
  * `v.zyx` of a vector of ours (packed_float3, bool4, bfloat4), which has only neighbours as members. It is read from a vector
    of OpenCL's, and written through one where it is packed.
  * values and members that go where the thread's are wanted (spaces.py), and values that are anywhere (temporaries.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from . import temporaries
from .lowered import Lowered, Wrap
from .spaces import spaces

_TRIED = (b"fl_temporary", b"fl_thread")
_RANK = "scalar operand type has greater rank than the type of the vector element"
_AMBIGUOUS = "conditional expression is ambiguous"
_COPY = re.compile(r"no matching constructor for initialization of|no viable overloaded '='|incompatible operand types")
_NO_COPY = "cannot bind reference in address space '__constant' to object in address space '__generic'"
_FEW = re.compile(r"too few elements in vector initialization \(expected (\d+) elements, have (\d+)\)")
_SWIZZLE = re.compile(r"no member named '([xyzw]{2,4}|[rgba]{2,4})' in '(?:metal::)?fl_(packed|bools|bfloats|run)<")
_WRITES = re.compile(rb"\s*[-+*/%&|^]?=(?!=)")
_SCALAR = re.compile(r"^'(?:[^']*'? \(aka ')?(?:unsigned )?(?:char|uchar|short|ushort|int|uint|long|ulong|half|float)'")


def conversions(diagnostics, raw: bytes, file: str) -> list[Wrap]:
    """The conversions that these errors ask for. `raw` is what libclang read."""
    found: dict[int, Wrap] = {}
    swizzles: list[Wrap] = []
    for d in diagnostics:
        if not (d.location.file and d.location.file.name == file):
            continue
        few, at = _FEW.match(d.spelling), d.location.offset
        if few and raw[at : at + 1] == b"{":
            end = _closing(raw, at)
            found[end] = end, end, ", 0" * (int(few[1]) - int(few[2]))
        ranges = [(r.start.offset, r.end.offset) for r in d.ranges]
        swizzles += _swizzle(d, ranges, raw)
        asked = [(*ranges[at], head) for at, head in _wrappings(d, [raw[a:b].decode(errors="replace") for a, b in ranges])]
        asked += [(*span, head) for span, head in spaces(d, raw, file) if not raw[span[0] :].startswith(_TRIED)]
        for start, end, head in asked or temporaries.wrappings(d, raw):
            if start not in found and end not in found:
                found |= {start: (start, end, head), end: (start, end, head)}
    return list(dict.fromkeys([*found.values(), *swizzles]))


def wrap(lowered: Lowered, wraps: Iterable[Wrap], raw: bytes, shift: int) -> None:
    """Write every head in front of its range and close its parentheses behind. `raw` is the program from `shift` on."""
    pieces: dict[int, list[str]] = {}
    for start, end, head in sorted(set(wraps), key=lambda w: (w[0], -w[1])):  # the outer of two comes first
        pieces.setdefault(start, []).append(head)
        pieces.setdefault(end, []).insert(0, ")" * (head.count("(") - head.count(")")))
    texts = {len(raw[:offset].decode(errors="ignore")) - shift: "".join(pieces[offset]) for offset in pieces}
    lowered.insert_all(texts)


def _swizzle(diagnostic, ranges: list[tuple[int, int]], raw: bytes) -> list[Wrap]:
    found = _SWIZZLE.match(diagnostic.spelling)
    if not found or not ranges:
        return []
    (start, end), last = ranges[0], diagnostic.location.offset + len(found[1])
    value, arrow = raw[start:end].decode(errors="replace"), raw[end : end + 1] == b"-"
    if _WRITES.match(raw, last):
        written = (start, end, "fl_written(*" if arrow else "fl_written(")
        return [written, *([] if arrow else [(end, end, ".fl_whole()")])] if found[2] == "packed" else []
    read = (start, end, "fl_pointed(*" if arrow else "fl_native(")
    return [(start, last, f"fl_like<decltype(fl_copy({'*' if arrow else ''}{value}))>("), read]


def _closing(raw: bytes, i: int) -> int:
    """Where to write on in the list that opens at `i`: before its `}`, and before a comma that stands there."""
    depth = 0
    for match in re.compile(rb"[{}]|,\s*(?=})").finditer(raw, i):
        depth += {b"{": 1, b"}": -1}.get(match[0], 0)
        if depth == 0 or (depth == 1 and match[0][:1] == b","):
            return match.start()
    return len(raw)


def _wrappings(diagnostic, operands: list[str]) -> list[tuple[int, str]]:
    """(which operand, what to write in front of it) for each conversion that this error asks for."""
    message = diagnostic.spelling
    if not operands or any(not o or o.startswith(("{", "fl_copy(")) for o in operands):
        return []  # nothing there that could be wrapped, or it has been tried
    if message.startswith(_RANK) and len(operands) == 2:
        first, _, second = message[message.index("(") + 1 : -1].partition(" and ")
        at = 0 if _SCALAR.match(first) else 1 if _SCALAR.match(second) else None
        return [] if at is None or operands[at].startswith("fl_fit<") else [(at, f"fl_fit<decltype(+({operands[1 - at]}))>(")]
    if message.startswith(_AMBIGUOUS) and {"bfloat", "float"} <= set(re.findall(r"\w+", message)) and len(operands) == 2:
        return [(n, "fl_beside_float(") for n in (0, 1) if not operands[n].startswith("fl_beside_float(")]
    if not _COPY.match(message):
        return []
    if message.startswith("incompatible"):  # a ? b : c of one type in two address spaces, or one of them no variable
        types = {re.sub(r"__\w+ |const |metal::", "", kind) for kind in re.findall(r"'([^']*)'(?! \(aka)", message)}
        return [(0, "fl_copy("), (1, "fl_copy(")] if len(types) == 1 and len(operands) == 2 else []
    if any(_NO_COPY in note.spelling for note in diagnostic.children):
        return [(len(operands) - 1, "fl_copy(")]
    return []
