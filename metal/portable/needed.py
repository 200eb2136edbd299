"""What a kernel needs of a library: its program's declarations, and those of them that its words lead to.

A library's file may hold hundreds of helpers, and both compilers take time for each. Which of them a kernel may use is told by
names alone: a declaration is kept where one of the names that it declares stands in what is kept. What declares nothing
that can be told is kept always; an assertion never, it was checked with the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[A-Za-z_]\w*|[(){}\[\];=<>]")
_NAME = re.compile(r"[A-Za-z_]\w*")
_KEYWORD = re.compile(
    r"const(ant|expr)?|static|inline|device|threadgroup|thread|void|u?(char|short|int|long)|half|float|bool|auto|true|false"
)
_TYPES = {"struct", "class", "enum", "union", "typedef", "using"}


class Declaration:
    """Parts [first, last] of a program. `declares`: names, None for what is always kept; `words`: every name in it."""

    def __init__(self, first: int, last: int, texts: list[str]):
        self.first, self.last = first, last
        text = "".join(texts)
        self.words = frozenset(_NAME.findall(text))
        self.declares = _declared(text)


def declarations(parts: Iterable[tuple[int, str]]) -> list[Declaration]:
    """The declarations of a program, given as numbered pieces of text."""
    found: list[Declaration] = []
    first, texts, depth, outer, angle = -1, list[str](), 0, set[str](), 0
    for number, text in parts:
        if not texts:
            first, outer, angle = number, set(), 0
        texts.append(text)
        ends = False
        for word in _WORD.findall(text) if not text.lstrip().startswith("#") else ():
            if word in ("(", "[", "{"):
                if word == "{" and depth == 0 and "namespace" in outer:
                    ends = True
                    continue
                outer.add(word) if depth == 0 else None
                depth += 1
            elif word in (")", "]", "}"):
                if word == "}" and depth == 0:  # of a namespace
                    ends = True
                depth = max(0, depth - 1)
                body = "(" in outer and not outer & {"=", *_TYPES}
                ends |= word == "}" and depth == 0 and body
            elif depth == 0 and word in ("<", ">") and (angle or outer == {"template"}):
                angle += 1 if word == "<" else -1  # of a template's parameters, which may have values
            elif depth == 0 and not angle:
                outer.add(word)
                ends |= word == ";"
        if ends:
            found.append(Declaration(first, number, texts))
            texts = []
    if texts:
        found.append(Declaration(first, number, texts))
    return found


def needed(known: list[Declaration], words: frozenset[str]) -> list[Declaration]:
    """Those that these words, and what they lead to, may refer to; in order."""
    by_name: dict[str, list[int]] = {}
    kept, todo = set[int](), set(words)
    for n, one in enumerate(known):
        if one.declares is None:
            kept.add(n)
            todo |= one.words
        for name in one.declares or ():
            by_name.setdefault(name, []).append(n)
    seen = set[str]()
    while todo:
        name = todo.pop()
        seen.add(name)
        for n in by_name.get(name, ()):
            if n not in kept:
                kept.add(n)
                todo |= known[n].words - seen
    return [known[n] for n in sorted(kept)]


def _declared(text: str) -> frozenset[str] | None:
    text = re.sub(r"^\s*#.*$|__attribute__\s*\(\(.*?\)\)", " ", text, flags=re.MULTILINE).strip()
    outside, inside = _outside(text)
    if outside.startswith("static_assert"):
        return frozenset()
    if re.match(r"(?:using )?namespace\b|\}|;|$", outside) or re.search(r"\boperator\b", outside):
        return None
    if outside.startswith("typedef"):
        found = re.findall(r"\(\s*\*?\s*(\w+)\s*\)\s*\(|(\w+)\s*(?:\[.*\]\s*)*;$", outside)
    elif record := re.search(r"\b(?:struct|class|union|enum(?: class| struct)?)\s+(\w+)", outside):
        found = [(record[1],), *re.findall(r"(\w+)(?=\s*[=\[;,])", outside)]
    elif function := re.match(r"[^=(]*?((?:\w+\s*::\s*)*\w+)\s*(?:<[^=(]*>\s*)?\(", outside):
        found = re.findall(r"\w+", function[1])
    else:
        found = re.findall(r"(\w+)(?=\s*[=\[;,{])", outside)
    if re.search(r"\benum\b", outside):
        found += _NAME.findall(inside)
    names = frozenset(name for one in found for name in ([one] if isinstance(one, str) else one) if _NAME.fullmatch(name))
    return frozenset(name for name in names if not _KEYWORD.fullmatch(name)) or None


def _outside(text: str) -> tuple[str, str]:
    """What stands outside braces and template parameters, and what stands inside braces."""
    out, within, depth, angle, template = list[str](), list[str](), 0, 0, False
    for piece in re.findall(r"[A-Za-z_]\w*|\s+|.", text, flags=re.DOTALL):
        if piece == "template":
            template = True
        elif template and piece in ("<", ">"):
            angle += 1 if piece == "<" else -1
            template = angle > 0
        elif not template:
            depth += piece == "{"
            (within if depth else out).append(piece if piece.strip() else " ")
            depth -= piece == "}"
            if piece == "}" and depth == 0:
                out.append("{}")
    return "".join(out).strip(), "".join(within)
