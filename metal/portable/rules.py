"""Metal's rules that need types, on libclang's tree of a translated program: what OpenCL takes and Apple's compiler refuses."""

from __future__ import annotations

import re
from typing import Any

from .calls import Calls
from .lowered import KernelInfo
from .truth import Truths

Finding = tuple[int, str]  # (libclang's offset, what is wrong)
# nothing below them is looked at; libclang's lists of children take most of the time here
_LEAVES = {"DECL_REF_EXPR", "INTEGER_LITERAL", "FLOATING_LITERAL", "TYPE_REF", "TEMPLATE_REF", "NAMESPACE_REF", "MEMBER_REF"}
_NO_SPACE = "must have an explicit address space: device, constant, threadgroup or thread"


class Rules:
    """Walks the program's own declarations; `findings` holds what it refused, `truths` what is to be true as 1.

    Fills in each kernel's threadgroup_bytes.
    """

    def __init__(self, kernels: dict[str, KernelInfo], raw: bytes, version: int, file: str):
        self.findings: list[Finding] = []
        self.truths = Truths(raw)
        self._calls = Calls(raw, version, file)
        self._raw = raw
        for kernel in kernels.values():
            kernel.threadgroup_bytes = 0
        self._open = False  # whether what the function gives back hangs on template arguments
        self._kernels = kernels  # by entry

    def walk(self, node: Any, kernel: KernelInfo | None = None, function: str | None = None, outside: bool = True) -> None:
        """Look at `node` and all below it. `outside`: at program scope, not inside a function or class."""
        from clang.cindex import CursorKind as K

        kind = node.kind
        if kind.name in _LEAVES:
            return
        if kind in (K.FUNCTION_DECL, K.CXX_METHOD, K.FUNCTION_TEMPLATE):
            kernel, function = self._kernels.get(node.spelling, kernel), self._calls.enter(node)
            self._open = self.truths.is_open(node.result_type)
            self._space(node, node.result_type, f"what '{node.spelling}' returns")
        elif kind in (K.VAR_DECL, K.PARM_DECL, K.FIELD_DECL, K.TYPEDEF_DECL, K.TYPE_ALIAS_DECL):
            self._declaration(node, kernel)
            if kind == K.VAR_DECL:
                self._variable(node, outside)
                self._narrowed(node, "initialize a variable of type 'bfloat' with")
            if kind in (K.VAR_DECL, K.FIELD_DECL):
                self.truths.given(node, self.truths.is_open(node.type))
        elif kind == K.CONSTRUCTOR:
            function = self._calls.enter(node)
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
            self._calls.add(function, node)
            self.truths.operator(node)
            if node.spelling == "operator=":
                self._narrowed(node, "assign to 'bfloat'")
        elif kind in (K.CSTYLE_CAST_EXPR, K.CXX_REINTERPRET_CAST_EXPR, K.CXX_STATIC_CAST_EXPR, K.CXX_FUNCTIONAL_CAST_EXPR):
            self._space(node, node.type, "this cast")
        elif kind == K.CXX_UNARY_EXPR:
            function = None  # what sizeof holds is not called
        for child in node.get_children():
            self.walk(child, kernel, function, outside and kind == K.NAMESPACE)

    def finish(self) -> None:
        """What only the whole program shows: functions that come back to themselves."""
        self.findings += [*self._calls.recursions(), *self._calls.undefined]

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

    def _space(self, node: Any, kind: Any, where: str) -> None:
        """Refuse a type that somebody wrote where no variable is declared, if it is a pointer without an address space."""
        whole = kind.get_canonical()
        pointee = whole.get_pointee()
        if pointee.kind.name in ("INVALID", "FUNCTIONPROTO", "FUNCTIONNOPROTO", "AUTO") or "decltype" in kind.spelling:
            return
        spelled = f"{kind.spelling} {whole.spelling}"  # a vector's own spelling does not always name the space
        if "__generic" in spelled or not re.search(r"__(global|local|constant|private)\b", spelled):
            what = "pointer" if whole.kind.name == "POINTER" else "reference"
            self._add(node, f"{what} type of {where} {_NO_SPACE}")

    def _variable(self, node: Any, outside: bool) -> None:
        spelled = node.type.get_canonical().spelling
        if outside and "__constant" not in spelled and "auto" not in spelled:
            self._add(node, f"program scope variable '{node.spelling}' must reside in the constant address space")
        elif not outside and node.storage_class.name == "STATIC" and "__constant" not in spelled and "auto" not in spelled:
            self._add(node, f"static variable '{node.spelling}' must reside in the constant address space")
        if outside and node.storage_class.name == "EXTERN" and node.get_definition() is None:
            self._add(node, f"variable '{node.spelling}' is declared, but nowhere defined")
        written = list(node.get_children())[:1]
        if written and written[0].kind.name == "TEMPLATE_REF" and node.type.kind.name != "AUTO":
            behind = self._raw[written[0].location.offset + len(written[0].spelling.encode()) :][:80]
            if re.match(rb"\s+[A-Za-z_]", behind):
                self._add(
                    node, f"template arguments of '{written[0].spelling}' are missing: Metal, which is C++14, works out none"
                )

    def _declaration(self, node: Any, kernel: KernelInfo | None) -> None:
        import clang.cindex as ci

        alias = node.kind in (ci.CursorKind.TYPEDEF_DECL, ci.CursorKind.TYPE_ALIAS_DECL)
        kind = (node.underlying_typedef_type if alias else node.type).get_canonical()
        spelled = kind.spelling
        if node.kind != ci.CursorKind.PARM_DECL:
            whole = kind
            while kind.kind == ci.TypeKind.CONSTANTARRAY and kind.element_type.kind != ci.TypeKind.EXTVECTOR:
                kind = kind.element_type
            if kind.kind == ci.TypeKind.RECORD and re.search(r"[<,].*__generic .*\*", spelled):
                self._add(node, f"a pointer in the type of '{node.spelling}' {_NO_SPACE}")
            kind = kind if kind.kind == ci.TypeKind.POINTER else whole
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
                self._add(node, f"{what} type of '{name}' {_NO_SPACE}")
            elif kernel is not None and node.kind == ci.CursorKind.PARM_DECL:
                for buffer in kernel.buffers:
                    if node.spelling in (buffer.name, f"fl_ref_{buffer.name}"):
                        buffer.align = max(1, target.get_align())
                        made_of = re.search(r"\b(float|half|fl_packed<float|fl_packed<half)\b", target.spelling)
                        buffer.floats = made_of[1].removeprefix("fl_packed<") if made_of else ""
        elif kernel is not None and node.kind == ci.CursorKind.VAR_DECL and "__local" in spelled:
            align = max(1, kind.get_align())
            kernel.threadgroup_bytes = -(-kernel.threadgroup_bytes // align) * align + max(0, kind.get_size())
