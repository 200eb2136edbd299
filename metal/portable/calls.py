"""Which functions call which: a function that comes back to itself is recursion, which is refused.

Of a call in a template libclang knows the name only. It is taken for a call of the one template of that name, unless that may
well be another instance: where the template has a pack of parameters, `if constexpr`, a specialisation, or is called with
arguments that are worked out (`f<N - 1>()`).
"""

from __future__ import annotations

import re
from typing import Any


class Calls:
    def __init__(self, raw: bytes, version: int, file: str):
        self._raw, self._version, self._file = raw, version, file
        self._called: dict[str, dict[str, int]] = {}  # function → the functions it calls, and where
        self._names: dict[str, str] = {}
        self.undefined: list[tuple[int, str]] = []  # calls of what has no body anywhere

    def enter(self, function: Any) -> str:
        """The name by which a function is known here."""
        usr = function.get_usr()
        self._names[usr] = function.spelling
        return usr

    def add(self, function: str | None, call: Any) -> None:
        """A call, as it stands in that function."""
        callee = call.referenced or self._template(call)
        if function is not None and call.referenced is not None and self._without_body(call.referenced):
            name = call.referenced.spelling
            self.undefined.append((call.extent.start.offset, f"function '{name}' is declared, but nowhere defined"))
        if function is not None and callee is not None:
            self._called.setdefault(function, {}).setdefault(callee.get_usr(), call.extent.start.offset)

    def recursions(self) -> list[tuple[int, str]]:
        """(where, what) for every function that calls itself, if only by way of others."""
        found = []
        why = "is not supported in Metal" if self._version < 204 else "is not emulated here, though Metal has it since 2.4"
        for function, callees in self._called.items():
            seen, todo = set[str](), list(callees)
            while todo:
                other = todo.pop()
                if other == function:
                    at = min(where for callee, where in callees.items() if callee == function or callee in seen)
                    found.append((at, f"recursion {why}: '{self._names[function]}' calls itself"))
                    break
                if other not in seen:
                    seen.add(other)
                    todo += self._called.get(other, {})
        return found

    def _without_body(self, callee: Any) -> bool:
        from clang.cindex import CursorKind as K
        from clang.cindex import conf

        # OpenCL's own functions stand in no namespace; the program stands in namespace metal
        at, around = callee.location.file, callee.semantic_parent
        if (
            callee.kind != K.FUNCTION_DECL
            or around is None
            or around.kind != K.NAMESPACE
            or callee.get_definition() is not None
        ):
            return False
        if at is None or at.name != self._file:
            return False
        return conf.lib.clang_getSpecializedCursorTemplate(callee) is None  # a template's body comes with its use

    def _template(self, call: Any) -> Any:
        from clang.cindex import CursorKind as K
        from clang.cindex import conf

        named = next(iter(call.get_children()), None)
        parts = list(named.get_children()) if named is not None and named.kind == K.DECL_REF_EXPR else []
        if not parts or parts[0].kind != K.OVERLOADED_DECL_REF or any(p.kind != K.TYPE_REF for p in parts[1:]):
            return None
        if conf.lib.clang_getNumOverloadedDecls(parts[0]) != 1:
            return None
        template = conf.lib.clang_getOverloadedDecl(parts[0], 0)
        text = self._raw[template.extent.start.offset : template.extent.end.offset]
        special = rb"template\s*<\s*>[^{;]*\b" + re.escape(template.spelling.encode()) + rb"\b"
        return None if re.search(rb"\.\.\.|if constexpr", text) or re.search(special, self._raw) else template
