"""Generic mutants of a Metal file: one small change each, everywhere in its code where such a change is possible.

Works on tokens (metal/portable/lexer.py), in functions' bodies and the values of program-scope constants: never in comments,
directives, attributes, parameter lists or instantiations. What does not compile is for the compiler to say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metal.portable.lexer import Token, tokenize
from tests.strength.code import Body, bodies, code_tokens, fields_of_args, initial_values

SWAPS = {
    "arithmetic": {"+": "-", "-": "+", "*": "+", "/": "*", "%": "/"},
    "comparison": {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    "logic": {"&&": "||", "||": "&&"},
    "bits": {"&": "|", "|": "&", "^": "|", "<<": ">>", ">>": "<<"},
    "assignment": {
        "+=": "-= =",
        "-=": "+= =",
        "*=": "+= =",
        "/=": "*= =",
        "^=": "|= =",
        "|=": "&= =",
        "&=": "|= =",
        "<<=": ">>=",
        ">>=": "<<=",
        "++": "--",
        "--": "++",
    },
}
CALLS = {
    "min": "max",
    "max": "min",
    "simd_sum": "simd_max",
    "simd_max": "simd_min",
    "simd_min": "simd_max",
    "simd_prefix_exclusive_sum": "simd_prefix_inclusive_sum",
    "simd_prefix_inclusive_sum": "simd_prefix_exclusive_sum",
    "exp": "exp2",
    "rsqrt": "sqrt",
    "sqrt": "rsqrt",
    "sin": "cos",
    "cos": "sin",
    "fabs": "",
    "mulhi": "max",
    "simd_broadcast_first": "",
}
_INTEGER = re.compile(r"(0[xX][0-9A-Fa-f]+|[0-9]+)([uUlL]*)")
_FLOAT = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([fFhH]?)")


@dataclass(frozen=True)
class Change:
    """`old`, at `start` of a file's text, becomes `new`."""

    kind: str
    start: int
    old: str
    new: str


@dataclass(frozen=True)
class Generic:
    """A generic mutant of a milestone's file. `id` names it by its line's text, so that it outlives other lines' changes."""

    file: str  # m2/attention.metal
    change: Change
    line: int
    column: int
    id: str

    @property
    def place(self) -> str:
        """Where, and what: m2/attention.metal:56:9 comparison: >= → >."""
        old, new = (" ".join(word.split()) or "nothing" for word in (self.change.old, self.change.new))
        return f"{self.file}:{self.line}:{self.column} {self.change.kind}: {old} → {new}"

    def text(self, source: str) -> str:
        """The whole mutated file."""
        c = self.change
        if source[c.start : c.start + len(c.old)] != c.old:
            raise ValueError(f"{self.id}: the file has changed")
        return source[: c.start] + c.new + source[c.start + len(c.old) :]


def mutants_of(file: str, source: str) -> list[Generic]:
    """Every generic mutant of a file's text, in the order of the text. `file` names it: m2/attention.metal."""
    lines, starts = _bare_lines(source)
    seen: Counter[str] = Counter()
    numbered = []
    for text in lines:
        seen[text] += 1
        numbered.append(text if seen[text] == 1 else f"{text} #{seen[text]}")
    found = {}
    for change in sorted(set(changes(source)), key=lambda c: (c.start, c.kind, len(c.old), c.new)):
        line = max(i for i, start in enumerate(starts) if start <= change.start)
        column = change.start - starts[line]
        indent = len(source[starts[line] :]) - len(source[starts[line] :].lstrip(" "))
        new = " ".join(change.new.split()) or "nothing"
        name = f"{Path(file).name} | {numbered[line]} | {column - indent + 1} {change.kind} {new}"
        found[name] = Generic(file, change, line + 1, column + 1, name)
    return list(found.values())


def _bare_lines(source: str) -> tuple[list[str], list[int]]:
    """Each line without comments and outer white space, and where it starts."""
    bare = "".join(re.sub(r"[^\n]", " ", t.text) if t.kind == "comment" else t.text for t in tokenize(source))
    return [line.strip() for line in bare.split("\n")], [0, *(m.end() for m in re.finditer("\n", source))]


def changes(source: str) -> Iterator[Change]:
    """Every change, in no order."""
    tokens = code_tokens(source)
    args = fields_of_args(tokens)
    for begin, end in initial_values(tokens):
        yield from _constants(tokens[begin:end])
    for body in bodies(tokens):
        inside = range(body.begin, body.end)
        for i in inside:
            yield from _operators(tokens, i)
            yield from _calls(tokens, i)
            yield from _positions(tokens, i, body)
            yield from _args(tokens, i, args)
        yield from _constants(tokens[body.begin : body.end])
        yield from _parts(source, tokens, body)


def _operators(tokens: list[Token], i: int) -> Iterator[Change]:
    token = tokens[i]
    if token.kind == "punct" and token.text in ("!", "~"):
        yield Change("negation", token.start, token.text, "")
    if token.kind != "operator" and token.text not in ("++", "--"):
        return
    for kind, swaps in SWAPS.items():
        for new in swaps.get(token.text, "").split():
            yield Change(kind, token.start, token.text, new)


def _constants(tokens: list[Token]) -> Iterator[Change]:
    for token in tokens:
        if token.kind != "number":
            continue
        if whole := _INTEGER.fullmatch(token.text):
            value, suffix = int(whole[1], 0), whole[2]
            digits = f"0x{{:0{len(whole[1]) - 2}X}}" if whole[1][:2].lower() == "0x" else "{}"
            for other in (1 - value,) if value < 2 else (value - 1, value + 1):
                if other < 2**32:
                    yield Change("constant", token.start, token.text, digits.format(other) + suffix)
        elif real := _FLOAT.fullmatch(token.text):
            value, suffix = float(real[1]), real[2]
            yield Change("constant", token.start, token.text, f"{value * 2 if value else 1.0!r}{suffix}")


def _calls(tokens: list[Token], i: int) -> Iterator[Change]:
    token = tokens[i]
    if token.kind == "name" and token.text in CALLS and tokens[i + 1].text == "(":
        yield Change("call", token.start, token.text, CALLS[token.text])


def _positions(tokens: list[Token], i: int, body: Body) -> Iterator[Change]:
    """Another of the thread's positions: lane for simdgroup, threadgroup for thread."""
    token, names = tokens[i], body.positions
    if token.text in names and len(names) > 1 and tokens[i - 1].text not in (".", "->"):
        yield Change("position", token.start, token.text, names[(names.index(token.text) + 1) % len(names)])


def _args(tokens: list[Token], i: int, fields: dict[str, str]) -> Iterator[Change]:
    """Another of the arguments of the same type: args.heads for args.kv_heads."""
    name = tokens[i]
    if tokens[i - 1].text == "." and tokens[i - 2].text == "args" and name.text in fields:
        alike = [n for n, t in fields.items() if t == fields[name.text]]
        if len(alike) > 1:
            yield Change("argument", name.start, name.text, alike[(alike.index(name.text) + 1) % len(alike)])


def _parts(source: str, tokens: list[Token], body: Body) -> Iterator[Change]:
    """Statements removed, conditions decided, indices off by one."""

    def of(kind: str, begin: int, end: int, new: str) -> Change:
        start, stop = tokens[begin].start, tokens[end - 1].end
        return Change(kind, start, source[start:stop], new)

    for begin, end in body.statements:
        yield of("barrier" if "barrier" in tokens[begin].text else "statement", begin, end, ";")
    for begin, end, values in body.conditions:
        for value in values:
            yield of("condition", begin, end, value)
    for begin, end in body.indices:
        text = of("index", begin, end, "").old
        simple = re.fullmatch(r"[\w.]+(\s*[+*]\s*[\w.]+)*", text)
        yield of("index", begin, end, f"{text} + 1" if simple else f"({text}) + 1")
