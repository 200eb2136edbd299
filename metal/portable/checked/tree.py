"""What checked mode asks of libclang's tree: a program's functions, address spaces, the names of calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from clang.cindex import Cursor, TranslationUnit, TypeKind
from clang.cindex import CursorKind as K

FUNCTIONS = (K.FUNCTION_DECL, K.CXX_METHOD, K.FUNCTION_TEMPLATE)
_REFERENCES = (TypeKind.LVALUEREFERENCE, TypeKind.RVALUEREFERENCE)
_SPACE = re.compile(r"(?:const |volatile )*__(global|local|constant)\b")
_ARRAYS = (TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY, TypeKind.DEPENDENTSIZEDARRAY)


def in_program(unit: TranslationUnit, file: str) -> Iterator[Cursor]:
    """The program's own functions, templates and methods."""
    for node in unit.cursor.get_children():
        if node.location.file and node.location.file.name == file:
            yield from _functions(node)


def _functions(node: Cursor) -> Iterator[Cursor]:
    if node.kind in FUNCTIONS:
        yield node
    else:
        for child in node.get_children():
            yield from _functions(child)


def called(node: Cursor) -> str:
    """The name of the function that a call calls; in a template, where it is not resolved yet, its last word."""
    if node.spelling:
        return node.spelling
    first = next(iter(node.get_children()), None)
    return first.spelling if first is not None else ""


def operator(edits: Any, node: Cursor) -> str:
    """The operator between a binary expression's two sides, as it is written."""
    left, right = node.get_children()
    return edits.text[edits._span(left)[1] : edits._span(right)[0]].strip(" \t\n()")


def memory(kind: Any) -> str:
    """The address space of what an expression of that type stands for: global, local or constant; "" for a thread's own."""
    kind = kind.get_canonical()
    if kind.kind in (*_REFERENCES, TypeKind.FUNCTIONPROTO):
        return ""
    spelled = kind.spelling
    if kind.kind == TypeKind.POINTER:
        spelled = spelled[spelled.rindex("*") + 1 :]
    # a vector is spelled `float __global __attribute__((ext_vector_type(4)))`, an array of vectors likewise
    while kind.kind in _ARRAYS:
        kind = kind.element_type.get_canonical()
    found = _SPACE.search(spelled) if kind.kind == TypeKind.EXTVECTOR else _SPACE.match(spelled)
    return found[1] if found else ""


def is_array(kind: Any) -> bool:
    return kind.get_canonical().kind in _ARRAYS
