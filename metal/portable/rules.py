"""Metal's rules that need types, on libclang's tree of a translated program: what OpenCL takes and Apple's compiler refuses."""

from __future__ import annotations

import re
from typing import Any

from .lowered import KernelInfo
from .truth import Truths

Finding = tuple[int, str]  # (libclang's offset, what is wrong)


class Rules:
    """Walks the program's own declarations; `findings` holds what it refused, `truths` what is to be true as 1.

    Fills in each kernel's threadgroup_bytes.
    """

    def __init__(self, kernels: dict[str, KernelInfo], raw: bytes):
        self.findings: list[Finding] = []
        self.truths = Truths(raw)
        for kernel in kernels.values():
            kernel.threadgroup_bytes = 0
        self._open = False  # whether what the function gives back hangs on template arguments
        self._kernels = kernels  # by entry
        self._calls: dict[str, dict[str, int]] = {}  # function → the functions it calls, and where
        self._names: dict[str, str] = {}

    def walk(self, node: Any, kernel: KernelInfo | None = None, function: str | None = None, outside: bool = True) -> None:
        """Look at `node` and all below it. `outside`: at program scope, not inside a function or class."""
        from clang.cindex import CursorKind as K

        kind = node.kind
        if kind in (K.FUNCTION_DECL, K.CXX_METHOD, K.FUNCTION_TEMPLATE):
            kernel, function = self._kernels.get(node.spelling, kernel), node.get_usr()
            self._names[function] = node.spelling
            self._open = self.truths.is_open(node.result_type)
        elif kind in (K.VAR_DECL, K.PARM_DECL, K.FIELD_DECL, K.TYPEDEF_DECL, K.TYPE_ALIAS_DECL):
            self._declaration(node, kernel)
            if kind == K.VAR_DECL:
                self._variable(node, outside)
                self._narrowed(node, "initialize a variable of type 'bfloat' with")
            if kind in (K.VAR_DECL, K.FIELD_DECL):
                self.truths.given(node, self.truths.is_open(node.type))
        elif kind == K.CONSTRUCTOR:
            self.truths.members(node)
        elif kind == K.UNEXPOSED_EXPR:
            self.truths.conversion(node)
        elif kind in (K.BINARY_OPERATOR, K.UNARY_OPERATOR, K.COMPOUND_ASSIGNMENT_OPERATOR):
            self.truths.operator(node)
        elif kind == K.INIT_LIST_EXPR:
            self.truths.braces(node)
        elif kind == K.RETURN_STMT:
            self.truths.given(node, self._open)
            self._narrowed(node, "return from a function that gives 'bfloat'")
        elif kind == K.LAMBDA_EXPR:
            self._add(node, "lambda expressions are not supported in Metal")
        elif kind == K.CALL_EXPR:
            if function is not None and node.referenced is not None:
                self._calls.setdefault(function, {}).setdefault(node.referenced.get_usr(), node.location.offset)
            self.truths.operator(node)
            if node.spelling == "operator=":
                self._narrowed(node, "assign to 'bfloat'")
        for child in node.get_children():
            self.walk(child, kernel, function, outside and kind == K.NAMESPACE)

    def finish(self) -> None:
        """What only the whole program shows: functions that come back to themselves."""
        for function in self._calls:
            seen, todo = set(), list(self._calls[function])
            while todo:
                other = todo.pop()
                if other == function:
                    at = min(where for callee, where in self._calls[function].items() if callee == function or callee in seen)
                    self.findings.append((at, f"recursion is not supported in Metal: '{self._names[function]}' calls itself"))
                    break
                if other not in seen:
                    seen.add(other)
                    todo += self._calls.get(other, {})

    def _add(self, node: Any, text: str) -> None:
        self.findings.append((node.location.offset, text))

    def _narrowed(self, node: Any, does: str) -> None:
        """A float where a bfloat is wanted: Metal converts only the other way by itself."""
        from clang.cindex import CursorKind as K
        from clang.cindex import TypeKind

        value, implicit = next(iter(list(node.get_children())[-1:]), None), False
        while value is not None and value.kind == K.UNEXPOSED_EXPR:
            value, implicit = next(iter(value.get_children()), None), True
        if not implicit or value is None or value.kind != K.CALL_EXPR or value.spelling != "bfloat":
            return
        given = next(iter(value.get_arguments()), None)
        while given is not None and given.kind in (K.UNEXPOSED_EXPR, K.PAREN_EXPR):
            given = next(iter(given.get_children()), None)
        # of two bfloats in two address spaces `c ? a : b` is a float to OpenCL
        if given is not None and given.kind != K.CONDITIONAL_OPERATOR and given.type.get_canonical().kind == TypeKind.FLOAT:
            self._add(value, f"cannot {does} a value of type 'float': write bfloat(…)")

    def _variable(self, node: Any, outside: bool) -> None:
        spelled = node.type.get_canonical().spelling
        if outside and "__constant" not in spelled and "auto" not in spelled:
            self._add(node, f"program scope variable '{node.spelling}' must reside in the constant address space")

    def _declaration(self, node: Any, kernel: KernelInfo | None) -> None:
        import clang.cindex as ci

        alias = node.kind in (ci.CursorKind.TYPEDEF_DECL, ci.CursorKind.TYPE_ALIAS_DECL)
        kind = (node.underlying_typedef_type if alias else node.type).get_canonical()
        spelled = kind.spelling
        pointee = kind.get_pointee()
        functions = (ci.TypeKind.FUNCTIONPROTO, ci.TypeKind.FUNCTIONNOPROTO)
        # `device float *&p` names the space of what p points to, and that is enough to Apple
        to_pointer = kind.kind == ci.TypeKind.LVALUEREFERENCE and pointee.kind == ci.TypeKind.POINTER
        if pointee.kind not in (ci.TypeKind.INVALID, *functions) and "auto" not in spelled and not to_pointer:
            target = pointee
            while target.kind == ci.TypeKind.CONSTANTARRAY:
                target = target.element_type
            if target.kind == ci.TypeKind.POINTER and pointee.kind == ci.TypeKind.CONSTANTARRAY:
                pointee = target = target.get_pointee()  # `device T *(&x)[2]`: SPIRV-Cross writes no space for the array itself
            space = f"{pointee.spelling} {target.spelling}"
            if "__generic" in space or not re.search(r"__(global|local|constant|private)\b", space):
                what = "reference" if kind.kind in (ci.TypeKind.LVALUEREFERENCE, ci.TypeKind.RVALUEREFERENCE) else "pointer"
                name = node.spelling or "parameter"
                self._add(
                    node,
                    f"{what} type of '{name}' must have an explicit address space: device, constant, threadgroup or thread",
                )
            elif kernel is not None and node.kind == ci.CursorKind.PARM_DECL:
                for buffer in kernel.buffers:
                    if node.spelling in (buffer.name, f"fl_ref_{buffer.name}"):
                        buffer.align = max(1, target.get_align())
        elif kernel is not None and node.kind == ci.CursorKind.VAR_DECL and "__local" in spelled:
            align = max(1, kind.get_align())
            kernel.threadgroup_bytes = -(-kernel.threadgroup_bytes // align) * align + max(0, kind.get_size())
