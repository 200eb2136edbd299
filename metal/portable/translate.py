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

from .lexer import Cursor
from .lowered import KernelInfo, Lowered
from .parameters import ADDRESS_SPACES, MAX_THREADS, SIMD_WIDTH, Parameters
from .strict import VECTORS, refuse


_COMPARISONS = {"<", ">", "<=", ">=", "==", "!=", "&&", "||"}
_SCALARS = {"bool", "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "float", "bfloat", "size_t", "void"}
_BFLOAT = re.compile(r"((?!0[xX])[0-9.](?:[eE][+-]|[\w.])*?)[bB][fF]")  # 1.5bf; as hexadecimal, 0x1bf is a whole number


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


class _Lowering(Parameters):
    def __init__(self, source: str, file: str):
        super().__init__(source, file)
        self.templates: dict[str, _Function] = {}
        self.types = VECTORS | {"vec"}
        self.before: dict[int, str] = {}  # token → text to put in front of it

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

    def _collect_type_names(self) -> None:
        """Names that may turn out to be vector types: template type parameters, typedefs, aliases and macros."""
        c = self.c
        for i, token in enumerate(self.tokens):
            if alias := token.kind == "directive" and re.fullmatch(r"\s*#\s*define\s+(\w+)\s+(\w+)\s*", token.text):
                if alias[2] in self.types:
                    self.types.add(alias[1])
            if token.kind != "name":
                continue
            if (token.text in ("typename", "class") and c.text(c.before(i)) in ("<", ",")) or (
                token.text == "using" and c.text(c.after(c.after(i))) == "="
            ):
                self.types.add(c.text(c.after(i)))
            elif token.text == "typedef":
                j = i
                while j < len(self.tokens) and c.text(j) not in (";", "{"):
                    j += 1
                if c.text(j) == ";" and self.tokens[c.before(j)].kind == "name":
                    self.types.add(c.text(c.before(j)))

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

    def _pointee(self, a: int, b: int) -> str | None:
        """What a buffer parameter points to, if that may be a template's instance: Pair<float>, or a name for one."""
        c, words, i = self.c, [], self._skip_attributes(self.c.skip(a))
        while i < b and c.text(i) not in ("*", "&", "[["):
            words.append(c.text(i))
            i = c.after(i)
        words = [w for w in words if w not in ADDRESS_SPACES | {"volatile"}]
        return " ".join(words) if "<" in words or (len(words) == 1 and words[0] in self.types - VECTORS) else None

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
                self.out.put(_directive(token.text, self.types), token.start, verbatim=True)
            elif token.kind == "name" and token.text == "using" and c.text(c.after(i)) == "namespace":
                j = c.after(c.after(i))
                if c.text(j) == "metal" and c.text(c.after(j)) == ";":
                    i = c.after(j)
                else:
                    self.out.put(token.text, token.start, verbatim=True)
            elif token.kind == "name" and token.text in self.types and c.text(c.before(i)) not in (".", "->"):
                i = self._constructor(i, b)
            elif token.kind == "number" and (literal := _BFLOAT.fullmatch(token.text)):
                digits = literal[1] if re.search("[.eE]", literal[1]) else literal[1] + ".0"
                self.out.put(f"bfloat({digits}f)", token.start)
            else:
                self.out.put(token.text, token.start, verbatim=True)
            i += 1

    def _constructor(self, i: int, end: int) -> int:
        """At a type name: `T(` as an expression becomes `fl_construct<T>(`. Returns the last token dealt with."""
        c, token, last = self.c, self.tokens[i], i
        after = c.after(i)
        if token.text == "vec":
            if c.text(after) != "<":
                self.out.put(token.text, token.start, verbatim=True)
                return i
            last = c.match_angle(after)
            after = c.after(last)
        inside = c.after(after)
        declarator = c.text(inside) in ("&", "*") and c.text(c.before(i)) in ADDRESS_SPACES
        if c.text(after) == "(" and after < end and not declarator and c.text(c.before(i)) != "operator":
            self._truths(after)
            self._put_construct(i, last, "fl_construct<", ">")
            return last
        self._put_construct(i, last, "", "")
        self._initialisers(after, f" = fl_construct<{self._source(i, last + 1)}>")
        return last

    def _put_construct(self, i: int, last: int, head: str, tail: str) -> None:
        self.out.put(head, self.tokens[i].start)
        for token in self.tokens[i : last + 1]:
            self.out.put(token.text, token.start, verbatim=True)
        self.out.put(tail, self.tokens[i].start)

    def _initialisers(self, first: int, head: str) -> None:
        """After a type's name, put `head` before each `(…)` that gives a variable its value: `float4 v(1, 2, 3, 4), w(0);`."""
        c, end = self.c, first
        while end < len(self.tokens) and c.text(end) not in (";", ")", "]", "}", ":"):
            end = c.after(c.match(end) if c.text(end) in ("(", "[", "{", "[[") else end)
        if c.text(end) != ";":
            return
        for a, b in self._split(first, end):
            name = c.skip(a)
            opening = c.after(name)
            if self.tokens[name].kind != "name" or c.text(name) == "operator" or c.text(opening) != "(":
                continue
            close = c.match(opening)
            arguments = self._split(opening + 1, close)
            if c.after(close) == b and arguments and not any(self._is_parameter(x) for x, _ in arguments):
                self._truths(opening)
                self.before[opening] = head

    def _is_parameter(self, a: int) -> bool:
        """Whether a function's parameter starts here: two names in a row (`float x`), or a type by itself."""
        c = self.c
        first = c.skip(a)
        second = c.after(first)
        if self.tokens[first].kind != "name":
            return False
        by_itself = c.text(first) in self.types | _SCALARS and c.text(second) in (",", ")", "&", "*")
        return by_itself or c.text(first) in ADDRESS_SPACES or self.tokens[min(second, len(self.tokens) - 1)].kind == "name"

    def _truths(self, opening: int) -> None:
        """Wrap the arguments between these parentheses that are comparisons."""
        c, close = self.c, self.c.match(opening)
        if close >= len(self.tokens):
            return
        for a, b in self._split(opening + 1, close):
            if self._is_comparison(a, b):
                self.before[a] = "fl_truth(" + self.before.get(a, "")
                self.before[b] = ")" + self.before.get(b, "")

    def _split(self, start: int, end: int) -> list[tuple[int, int]]:
        """Like Cursor.split, for expressions: `<` may well mean less."""
        parts, i, first = [], start, start
        while i < end:
            if self.c.text(i) == ",":
                parts.append((first, i))
                first = i + 1
            i = self._over(i) + 1
        return [*parts, (first, end)] if self.c.skip(first) < end else parts

    def _over(self, i: int) -> int:
        """The end of what opens at `i`: a bracket, or a template list `<…>`, by what follows it; `i` itself for anything else."""
        c = self.c
        if c.text(i) in ("(", "[", "{", "[["):
            return c.match(i)
        if c.text(i) == "<" and self.tokens[c.before(i)].kind == "name":
            close = c.match_angle(i)
            if c.text(c.after(close)) in ("(", "{", "::"):
                return close
        return i

    def _is_comparison(self, a: int, b: int) -> bool:
        """Whether the expression is a comparison, or logic over some: by its operators outside brackets and template lists."""
        c, i, found = self.c, self.c.skip(a), False
        if c.text(i) == "(" and c.after(c.match(i)) >= b:
            return self._is_comparison(i + 1, c.match(i))
        found = c.text(i) == "!"
        while i < b:
            text, close = c.text(i), self._over(i)
            if text == ">" and c.text(i + 1) == ">":  # a shift
                close = i + 1
            elif text in ("?", ":"):  # what is chosen counts, not the question
                return self._is_comparison(i + 1, b)
            elif text in _COMPARISONS and close == i:
                found = True
            i = c.after(close)
        return found


def c_kernel(c: Cursor, i: int) -> bool:
    """Whether `[[` at `i` opens `[[kernel]]`, or attributes that stand before a kernel."""
    if c.text(c.after(i)) == "kernel":
        return True
    j = c.after(c.match(i))
    return c.text(j) == "kernel" or (c.text(j) == "[[" and c_kernel(c, j))


def _directive(text: str, types: set[str]) -> str:
    body = text.lstrip()[1:].lstrip()
    if body.startswith("line") or re.match(r"include\s*<(metal_|simd/)", body):
        return " " * len(text) if "\n" not in text else re.sub(r"[^\n]", " ", text)
    if body.startswith("define"):
        return re.sub(r"\b(" + "|".join(sorted(types)) + r")\(", r"fl_construct<\1>(", text)
    return text
