"""True is 1 in Metal; OpenCL's comparisons of vectors give −1 in integers, and so does a bool that is spread over a vector.

No token shows which comparisons are of vectors: libclang's tree does. There
  * `a < b` of vectors becomes `fl_truth(a < b)`, a bool4, from which everything follows as in Metal (metal_bool.h);
  * a bool that turns into a vector, as in `v * flag`, becomes `fl_bit(flag)`, 1 or 0;
  * in a template, where it depends on the arguments, `fl_truth` and `fl_bit` decide when they are known.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from .lowered import Wrap

_COMPARISONS = {"<", ">", "<=", ">=", "==", "!=", "&&", "||", "!", "and", "or", "not", "not_eq"}
_SUMS = {f"{op}{end}" for op in ("+", "-", "*", "/", "%", "&", "|", "^") for end in ("", "=")} | {"="}


class Truths:
    """Sees the expressions of a program one by one; `wraps` holds what is to be written around them."""

    def __init__(self, raw: bytes):
        import clang.cindex as ci

        self.wraps: list[Wrap] = []
        self._raw = raw
        self._kinds, self._types = ci.CursorKind, ci.TypeKind

    def operator(self, node: Any) -> None:
        """A unary or binary operator, or a call, which one is where there are overloads that a template may choose from."""
        kind = node.type.get_canonical().kind
        if kind != self._types.DEPENDENT and (kind != self._types.EXTVECTOR or node.kind == self._kinds.CALL_EXPR):
            return
        sign, operands = self._parts(node)
        if sign in _COMPARISONS:
            self._wrap(node, "fl_truth(")
        elif kind == self._types.DEPENDENT and sign in _SUMS:
            for operand in operands[sign.endswith("=") :]:  # what is assigned to stays a variable
                if self._may_be_bool(operand):
                    self._wrap(operand, "fl_bit(")

    def conversion(self, node: Any) -> None:
        """An implicit conversion, or anything else without a name of its own in libclang's tree."""
        inner = self._only(node)
        if inner is None or inner.kind != self._kinds.UNEXPOSED_EXPR or node.type.get_canonical().kind != self._types.EXTVECTOR:
            return
        while inner is not None and inner.kind == self._kinds.UNEXPOSED_EXPR and inner.type.kind != self._types.BOOL:
            inner = self._only(inner)
        if inner is not None and inner.type.get_canonical().kind == self._types.BOOL:
            self._wrap(inner, "fl_bit(")

    def braces(self, node: Any) -> None:
        """`{flag, …}` for an array of vectors, or a struct that has some: libclang shows only what is written."""
        kind = node.type.get_canonical()
        values = list(node.get_children())
        if kind.kind == self._types.CONSTANTARRAY:
            wanted = [kind.element_type] * len(values)
        else:
            wanted = [field.type for field in kind.get_fields()] if kind.kind == self._types.RECORD else []
        for value, element in zip(values, wanted, strict=False):
            if element.get_canonical().kind == self._types.EXTVECTOR and self._may_be_bool(value):
                self._wrap(value, "fl_bit(")

    def given(self, node: Any, is_open: bool) -> None:
        """A variable's value, or what a function gives back, where the type hangs on template arguments: it may be a vector."""
        value = list(node.get_children())[-1:] if is_open else []
        if value and value[0].extent.start.offset < node.location.offset:
            return  # before its name: an argument of its type, T<true> x
        if value and self._may_be_bool(value[0]):
            self._wrap(value[0], "fl_bit(")

    def members(self, constructor: Any) -> None:
        """`: v(flag)`, what a constructor gives the members whose type hangs on template arguments."""
        parts = list(constructor.get_children())
        for member, value in pairwise(parts):
            if member.kind == self._kinds.MEMBER_REF and self.is_open(member.type):
                self.given(value, True)

    def is_open(self, kind: Any) -> bool:
        """Whether the type hangs on template arguments."""
        return kind.get_canonical().kind in (self._types.UNEXPOSED, self._types.DEPENDENT) and "auto" not in kind.spelling

    def _only(self, node: Any) -> Any:
        children = list(node.get_children())
        return children[0] if len(children) == 1 else None

    def _parts(self, node: Any) -> tuple[str, list[Any]]:
        """The operator as it stands in the text, and its operands. A call that is none has the operator ''."""
        sides = list(node.get_children())
        if node.kind == self._kinds.CALL_EXPR:
            called = len(sides) == 3 and sides[1].type.kind == self._types.OVERLOAD
            return (self._text(sides[1].extent.start, sides[1].extent.end), [sides[0], sides[2]]) if called else ("", [])
        if node.kind == self._kinds.UNARY_OPERATOR:
            return self._text(node.extent.start, sides[0].extent.start) if sides else "", []
        return self._text(sides[0].extent.end, sides[1].extent.start) if len(sides) == 2 else "", sides

    def _text(self, start: Any, end: Any) -> str:
        return self._raw[start.offset : end.offset].decode(errors="replace").strip()

    def _may_be_bool(self, node: Any) -> bool:
        while node.kind == self._kinds.PAREN_EXPR and (inner := self._only(node)) is not None:
            node = inner
        if node.type.get_canonical().kind == self._types.DEPENDENT:
            operators = (self._kinds.BINARY_OPERATOR, self._kinds.UNARY_OPERATOR, self._kinds.CALL_EXPR)
            return node.kind in operators and self._parts(node)[0] in _COMPARISONS
        return node.type.get_canonical().kind == self._types.BOOL and node.kind.is_expression()

    def _wrap(self, node: Any, head: str) -> None:
        start, end = node.extent.start.offset, node.extent.end.offset
        done = self._raw[start - len(head) : start] == head.encode() and self._raw[end : end + 1] == b")"
        if not done:
            self.wraps.append((start, end, head))
