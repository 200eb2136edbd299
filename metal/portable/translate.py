"""Metal source → C++ for OpenCL: the surface. Types are checked afterwards by frontend.py.

What changes, and all that changes:
  * a `kernel` function becomes an OpenCL `__kernel`: buffers by reference become pointers, attribute parameters
    (`uint i [[thread_position_in_grid]]`) become local variables, threadgroup width and SIMD width become attributes;
  * a template kernel is copied once for each explicit instantiation, its parameters turned into local names;
  * `float4(a, b)` becomes `fl_construct<float4>(a, b)`, for every type that may be a vector, and `float4 v(a, b);` too; in it a
    comparison `a < b` becomes `fl_truth(a < b)`, as OpenCL's true is −1 in vectors;
  * `#include <metal_…>`, `#line` and `using namespace metal` are blanked: everything stands inside namespace metal.
Keywords (`device`, `threadgroup`, …) are macros of metal_stdlib.h, so they work inside a user's own macros too.
Every piece of output remembers the offset it came from; that is how a message finds its line and column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .constructors import Constructors, bfloat_literal, directive
from .lexer import Cursor
from .lowered import KernelInfo, Lowered
from .parameters import MAX_THREADS, SIMD_WIDTH
from .strict import refuse


@dataclass
class _Function:
    first: int  # token range [first, last] of the whole definition
    last: int
    name: int
    params: tuple[int, int]
    body: tuple[int, int]
    width: int
    template: list[tuple[int, int]] | None  # ranges of the template parameters


def lower(source: str, file: str = "program_source") -> Lowered:
    """Translate the surface of `source`. Raises SourceError (a `metal.error`) at the first thing that cannot be."""
    return _Lowering(source, file).run()


class _Lowering(Constructors):
    def __init__(self, source: str, file: str):
        super().__init__(source, file)
        self.templates: dict[str, _Function] = {}

    # --- the whole file -------------------------------------------------------------------------------------------
    def run(self) -> Lowered:
        refuse(self.tokens, self.out.where)
        self._collect_type_names()
        i, copied = 0, 0
        while i < len(self.tokens):
            done = self._item(i, copied)
            if done is None:
                i += 1
            else:
                i = copied = done
        self._copy(copied, len(self.tokens))
        return self.out

    def _item(self, i: int, copied: int) -> int | None:
        """Handle a construct that starts at token `i`: returns the token after it, or None to copy on."""
        token = self.tokens[i]
        if token.kind != "name":
            if token.text == "[[" and c_kernel(self.c, i):
                return self._definition(i, copied, None)
            return None
        if token.text == "template":
            after = self.c.after(i)
            if self.c.text(after) == "<":
                close = self.c.match_angle(after)
                j = self._skip_attributes(self.c.after(close))
                if self.c.text(j) in ("kernel", "[["):  # [[: attributes of a kernel
                    return self._definition(i, copied, self.c.split(after + 1, close))
                return None
            return self._instantiation(i, copied)
        if token.text == "kernel":
            return self._definition(i, copied, None)
        return None

    def _skip_attributes(self, i: int) -> int:
        while self.c.text(i) == "[[":
            if c_kernel(self.c, i):
                return i
            i = self.c.after(self.c.match(i))
        return i

    # --- kernels --------------------------------------------------------------------------------------------------
    def _definition(self, i: int, copied: int, template: list[tuple[int, int]] | None) -> int:
        c, width = self.c, MAX_THREADS
        first, j = i, i
        if template is not None:
            j = c.after(c.match_angle(c.after(i)))
        while c.text(j) in ("[[", "kernel", "static", "inline"):
            if c.text(j) == "[[":
                for attribute, args, at in self._attributes(j):
                    if attribute == "max_total_threads_per_threadgroup":
                        width = self._width(args, at)
                    elif attribute not in ("kernel", "host_name"):
                        self.fail(at, f"unknown attribute '{attribute}' on a kernel function")
                j = c.after(c.match(j))
            else:
                j = c.after(j)
        if c.text(j) != "void":
            self.fail(j, "kernel must have void return type")
        name = c.after(j)
        open_paren = c.after(name)
        if c.text(open_paren) != "(":
            self.fail(open_paren, "expected '(' after the kernel's name")
        close = c.match(open_paren)
        brace = c.after(close)
        if c.text(brace) == ";":  # a declaration only
            self._copy(copied, first)
            return brace + 1
        if c.text(brace) != "{":
            self.fail(brace, "expected the kernel's body")
        end = c.match(brace)
        function = _Function(first, end, name, (open_paren + 1, close), (brace + 1, end), width, template)
        self._copy(copied, first)
        if template is None:
            self._emit_kernel(function, c.text(name), {})
        else:
            self.templates[c.text(name)] = function
            self.out.put("\n", self.tokens[first].start)
        return end + 1

    def _instantiation(self, i: int, copied: int) -> int | None:
        """`template [[host_name("f32")]] kernel void f<float>(device float *, …);`"""
        c, host, j, is_kernel = self.c, None, self.c.after(i), False
        while c.text(j) in ("[[", "kernel"):
            is_kernel |= c.text(j) == "kernel"
            if c.text(j) == "[[":
                for attribute, value, at in self._attributes(j):
                    is_kernel |= attribute == "kernel"
                    if attribute == "host_name":
                        host = value.strip().strip('"')
                    elif attribute != "kernel":
                        self.fail(at, f"unknown attribute '{attribute}' on an explicit instantiation")
                j = c.after(c.match(j))
            else:
                j = c.after(j)
        if not is_kernel:
            return None
        while j < len(self.tokens) and c.text(c.after(j)) != "<" and c.text(j) != ";":
            j = c.after(j)
        name, angle = c.text(j), c.after(j)
        function = self.templates.get(name)
        if function is None:
            self.fail(j, f"no kernel template named '{name}' to instantiate")
        assert function is not None and function.template is not None
        close = c.match_angle(angle)
        args = c.split(angle + 1, close)
        if len(args) > len(function.template):
            self.fail(angle, f"'{name}' takes {len(function.template)} template arguments, {len(args)} given")
        values: dict[str, str] = {}
        for n, (a, b) in enumerate(function.template):
            param, default = self._template_parameter(a, b)
            if n < len(args):
                values[param] = self._source(*args[n]).strip()
            elif default is not None:
                values[param] = default
            else:
                self.fail(angle, f"template argument '{param}' of '{name}' is missing")
        end = close
        while end < len(self.tokens) and c.text(end) != ";":
            end += 1
        self._copy(copied, i)
        kinds = {self._template_parameter(a, b)[0]: self._kind_of(a, b) for a, b in function.template}
        names = {param: (kinds[param], value) for param, value in values.items()}
        self._emit_kernel(function, host or f"{name}<{', '.join(values.values())}>", names, at=self.tokens[j].start)
        return end + 1

    def _template_parameter(self, a: int, b: int) -> tuple[str, str | None]:
        c = self.c
        for i in range(a, b):
            if c.text(i) == "=":
                return c.text(c.before(i)), self._source(i + 1, b).strip()
        return c.text(c.skip(b - 1, -1)), None

    def _kind_of(self, a: int, b: int) -> str:
        """What a template parameter is declared as: `typename`, `class`, or the type of a value."""
        name = self._template_parameter(a, b)[0]
        words: list[str] = []
        for i in range(a, b):
            if self.c.text(i) == name:
                break
            if self.tokens[i].kind not in ("space", "comment"):
                words.append(self.c.text(i))
        return " ".join(words)

    def _emit_kernel(self, f: _Function, host: str, names: dict[str, tuple[str, str]], at: int | None = None) -> None:
        c, out = self.c, self.out
        if host in out.kernels:
            self.fail(f.name, f"kernel '{host}' is defined twice")
        entry = "fl_kernel_" + re.sub(r"\W", "_", host)
        info = KernelInfo(host, entry, f.width)
        start = self.tokens[f.first].start if at is None else at
        if names:  # a scope of its own for the template's parameters
            out.put(f"namespace {entry}_scope {{ ", start)
            for param, (kind, value) in names.items():
                declared = f"typedef {value} {param}" if kind in ("typename", "class") else f"constant {kind} {param} = {value}"
                out.put(declared + "; ", start)
        for a, b in c.split(*f.params):
            if whole := self._pointee(a, b):
                out.put(f"FL_WHOLE({whole}) ", start)
        out.put(f"__kernel __attribute__((intel_reqd_sub_group_size({SIMD_WIDTH}))) void {entry}(", start)
        prologue: list[tuple[str, int]] = []
        taken: dict[int, str] = {}
        first = True
        for a, b in c.split(*f.params):
            piece = self._parameter(a, b, info, taken, prologue)
            if piece:
                if not first:
                    out.put(", ", self.tokens[a].start)
                out.put(*piece)
                first = False
        out.put(") {", self.tokens[f.params[1]].start)
        for text, origin in prologue:
            out.put(" " + text, origin)
        self._copy(*f.body)
        out.put("}" + (" }" if names else ""), self.tokens[min(f.last, len(self.tokens) - 1)].start)
        out.kernels[host] = info

    # --- everything else ------------------------------------------------------------------------------------------
    def _copy(self, a: int, b: int) -> None:
        """Copy tokens [a, b), rewriting constructors and blanking directives that mean nothing to OpenCL."""
        c, i = self.c, a
        while i < b:
            token = self.tokens[i]
            if i in self.before:
                self.out.put(self.before.pop(i), token.start)
            if token.kind == "comment":
                self.out.put(" " + "\n" * token.text.count("\n"), token.start)
            elif token.kind == "directive":
                self.out.put(directive(token.text, self.types), token.start, verbatim=True)
            elif token.kind == "name" and token.text == "using" and c.text(c.after(i)) == "namespace":
                j = c.after(c.after(i))
                if c.text(j) == "metal" and c.text(c.after(j)) == ";":
                    i = c.after(j)
                else:
                    self.out.put(token.text, token.start, verbatim=True)
            elif token.kind == "name" and token.text in self.types and c.text(c.before(i)) not in (".", "->"):
                i = self._constructor(i, b)
            elif token.kind == "number" and (literal := bfloat_literal(token.text)):
                self.out.put(literal, token.start)
            else:
                self.out.put(token.text, token.start, verbatim=True)
            i += 1


def c_kernel(c: Cursor, i: int) -> bool:
    """Whether `[[` at `i` opens `[[kernel]]`, or attributes that stand before a kernel."""
    if c.text(c.after(i)) == "kernel":
        return True
    j = c.after(c.match(i))
    return c.text(j) == "kernel" or (c.text(j) == "[[" and c_kernel(c, j))
