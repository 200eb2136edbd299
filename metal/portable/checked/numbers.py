"""Limits and fast math in an instrumented program: indices worked out in 64 bits too, floats looked at where they are made."""

from __future__ import annotations

import re

from clang.cindex import Cursor, TypeKind
from clang.cindex import CursorKind as K

from .edits import Edits
from .tree import called, operator

_NARROW = (TypeKind.INT, TypeKind.UINT)
_INTEGERS = (*_NARROW, TypeKind.LONG, TypeKind.ULONG, TypeKind.SHORT, TypeKind.USHORT, TypeKind.CHAR_S, TypeKind.UCHAR)
_FLOATS = (TypeKind.FLOAT, TypeKind.HALF)
_PLAIN = {K.DECL_REF_EXPR, K.INTEGER_LITERAL, K.UNEXPOSED_EXPR, K.PAREN_EXPR, K.BINARY_OPERATOR, K.MEMBER_REF_EXPR}
_PLAIN |= {K.CSTYLE_CAST_EXPR, K.TYPE_REF}
_MAKERS = {"exp", "exp2", "exp10", "log", "log2", "log10", "pow", "powr", "sqrt", "rsqrt", "divide", "acos", "asin", "fmod"}
_ASKERS = {"isnan", "isinf", "isfinite", "isnormal", "isordered", "isunordered"}


class Numbers(Edits):
    """The part of the instrumentation that looks at values. Each check has its switch."""

    limits = fast_math = False
    _infinite = True  # whether infinity, in the function at hand, would be a surprise

    def _enter_numbers(self, function: Cursor, body: Cursor) -> None:
        """A function begins: infinity is no surprise where its source speaks of it. Which variables are indices?"""
        self._infinite = not re.search(r"INFINITY|infinity\b|HUGE_VAL|isinf", self._words(function))
        self._looked_at: set[tuple[int, int]] = set()
        self._indices: set[str] = set()
        if self.limits:
            for node in body.walk_preorder():
                self._indices |= {v for index in _indices(node) for v in _variables(index)}

    def _index(self, node: Cursor) -> None:
        """What becomes an index, or is added to a pointer: its value in 64 bits must be the same."""
        narrow = self.limits and node.type.get_canonical().kind in _NARROW and _bare(node).kind == K.BINARY_OPERATOR
        exact = self._wide(node) if narrow else None
        if exact is not None:
            self._wrap(node, "fl_wide(", f", {exact}, {self._site(node)})", 3)

    def _wide(self, node: Cursor) -> str | None:
        """The expression in 64 bits; None where it is no sum or product of plain 32-bit integers."""
        node = _bare(node)
        if node.kind == K.UNARY_OPERATOR and self._words(node).startswith("-"):
            inner = self._wide(next(iter(node.get_children())))
            return f"(-{inner})" if inner else None
        if node.kind == K.BINARY_OPERATOR and (sign := operator(self, node)) in ("+", "-", "*"):
            left, right = (self._wide(child) for child in node.get_children())
            return f"({left} {sign} {right})" if left and right else None
        parts = list(node.walk_preorder())
        if any(n.kind not in _PLAIN or (n.kind == K.BINARY_OPERATOR and operator(self, n) == "=") for n in parts):
            return None
        return f"(long)({self._words(node)})"

    def _value(self, node: Cursor) -> None:
        """A float that is made by `node`, or about to be stored: neither NaN nor infinity."""
        if self.fast_math and _is_float(node) and self._span(node) not in self._looked_at:
            self._looked_at.add(self._span(node))
            self._wrap(node, "fl_finite(", f", {self._site(node)}, FL_STRANGE, {int(self._infinite)})", 3)

    def _divisor(self, node: Cursor, divisor: Cursor) -> None:
        """What an integer is divided by: not 0."""
        kind = divisor.type.get_canonical()
        kind = kind.element_type.get_canonical() if kind.kind == TypeKind.EXTVECTOR else kind
        if kind.kind in _INTEGERS and not re.fullmatch(r"0*[1-9]\d*[uUlL]*", self._words(divisor)):
            self._wrap(divisor, "fl_divisor(", f", {self._site(node)})", 4)

    def _float_call(self, node: Cursor, arguments: list[Cursor]) -> None:
        name = called(node)
        if not self.fast_math or not arguments:
            return
        if name in _MAKERS:
            self._value(node)
        elif name in _ASKERS and _is_float(arguments[0]):
            self._wrap(arguments[0], "fl_finite(", f", {self._site(node)}, FL_ASKED, 1)", 3)


def _is_float(node: Cursor) -> bool:
    kind = node.type.get_canonical()
    if kind.kind == TypeKind.EXTVECTOR:
        kind = kind.element_type.get_canonical()
    return kind.kind in _FLOATS


def _bare(node: Cursor) -> Cursor:
    """The expression without parentheses and conversions around it."""
    while node.kind in (K.PAREN_EXPR, K.UNEXPOSED_EXPR):
        inner = next(iter(node.get_children()), None)
        if inner is None or inner.type.get_canonical().kind == TypeKind.EXTVECTOR:  # v.x is no v
            break
        node = inner
    return node


def _indices(node: Cursor) -> list[Cursor]:
    """The integers that `node` goes by: a subscript, or what it adds to a pointer."""
    children = list(node.get_children())
    if node.kind == K.ARRAY_SUBSCRIPT_EXPR:
        return children[1:]
    if node.kind == K.BINARY_OPERATOR and node.type.get_canonical().kind == TypeKind.POINTER:
        return [c for c in children if c.type.get_canonical().kind in _NARROW]
    return []


def _variables(node: Cursor) -> set[str]:
    """The variables that an index is a sum or product of."""
    node = _bare(node)
    if node.kind == K.DECL_REF_EXPR and node.referenced is not None:
        return {node.referenced.get_usr()}
    if node.kind == K.BINARY_OPERATOR:
        return {v for child in node.get_children() for v in _variables(child)}
    return set()
