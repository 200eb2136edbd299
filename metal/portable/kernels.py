"""Kernel functions: from Metal's `kernel void f(…)`, templates and explicit instantiations to OpenCL kernels."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .constructors import Constructors
from .hoist import hoist
from .lexer import Cursor, Token, trimmed
from .lowered import MAX_THREADS, SIMD_WIDTH, KernelInfo
from .parameters import UnsupportedError
from .scopes import Namespaces
from .templates import Arguments, parameter

# attributes that may stand on a kernel and change nothing here
_IDLE = {"kernel", "host_name", "visible", "stitchable", "user_annotation", "maybe_unused"}


@dataclass
class Function:
    first: int  # token range [first, last] of the whole definition
    last: int
    name: int
    params: tuple[int, int]
    body: tuple[int, int]
    width: tuple[str, int] | None  # what max_total_threads_per_threadgroup says, and where
    host: str | None
    template: list[tuple[int, int]] | None  # ranges of the template parameters


class Kernels(Constructors):
    """The part of the translation that deals with whole kernels."""

    def __init__(self, *args: object, **kwargs: object):
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.templates: dict[str, Function] = {}
        self.handed: dict[str, str] = {}  # types that stand for functions (functions.py) → what they stand for
        self.spaces: Namespaces
        self.here: list[str] = []  # the namespaces around the instantiation that is being written
        self.special: dict[tuple[str, tuple[str, ...]], Function] = {}  # explicit specialisations, by name and arguments

    def _copy(self, a: int, b: int) -> None:
        raise NotImplementedError

    def _unused(self, name: str, f: Function) -> None:
        raise NotImplementedError

    def _head(self, i: int, template: list[tuple[int, int]] | None) -> Function | int:
        """Read a kernel's head and find its end; the token after it where it is a declaration only."""
        c, host = self.c, None
        width: tuple[str, int] | None = None
        first = j = i
        if template is not None:
            j = c.after(c.match_angle(c.after(i)))
        while c.text(j) in ("[[", "kernel", "static", "inline", "extern"):
            if c.text(j) == "[[":
                for attribute, args, at in self._attributes(j):
                    if attribute == "max_total_threads_per_threadgroup":
                        width = args, at
                    elif attribute == "host_name":
                        host = _literal(args)
                    elif attribute not in _IDLE:
                        self.fail(at, f"unknown attribute '{attribute}' on a kernel function")
                j = c.after(c.match(j))
            else:
                j = c.after(j)
        if c.text(j) != "void":
            self.fail(j, "kernel must have void return type")
        name = c.after(j)
        open_paren = c.after(name)
        while c.text(open_paren) == "::":  # ns::f
            name = c.after(open_paren)
            open_paren = c.after(name)
        if c.text(open_paren) == "<":  # the head of a specialisation
            open_paren = c.after(c.match_angle(open_paren))
        if c.text(open_paren) != "(":
            self.fail(open_paren, "expected '(' after the kernel's name")
        close = c.match(open_paren)
        brace = c.after(close)
        while c.text(brace) == "[[":
            for attribute, args, at in self._attributes(brace):
                if attribute == "max_total_threads_per_threadgroup":
                    width = args, at
                elif attribute not in _IDLE:
                    self.fail(at, f"unknown attribute '{attribute}' on a kernel function")
            brace = c.after(c.match(brace))
        if c.text(brace) == ";":
            return brace + 1
        if c.text(brace) != "{":
            self.fail(brace, "expected the kernel's body")
        end = c.match(brace)
        if end == len(self.tokens):
            self.fail(brace, "expected '}': this '{' is never closed")
        return Function(first, end, name, (open_paren + 1, close), (brace + 1, end), width, host, template)

    def _definition(self, i: int, copied: int, template: list[tuple[int, int]] | None) -> int:
        function = self._head(i, template)
        self._copy(copied, i)
        if isinstance(function, int):
            return function
        name = self.c.text(function.name)
        if template:
            self.templates[name] = function
            self.out.put("\n", self.tokens[i].start)
            self._unused(name, function)
        else:
            angle = self.c.after(function.name)
            if template is not None and self.c.text(angle) == "<":  # template <> kernel void f<int>(…)
                args = [self._words(a, b) for a, b in self.c.split(angle + 1, self.c.match_angle(angle))]
                self.special[name, tuple(args)] = function
            else:
                self._emit(function, function.host or name, Arguments())
        return function.last + 1

    def _instantiation(self, i: int, copied: int) -> int | None:
        """`template [[host_name("f32")]] kernel void f<float>(device float *, …);`, in any of its spellings."""
        c, host, j, is_kernel = self.c, None, self.c.after(i), False
        while c.text(j) in ("[[", "kernel"):
            is_kernel |= c.text(j) == "kernel"
            if c.text(j) == "[[":
                for attribute, value, at in self._attributes(j):
                    is_kernel |= attribute in ("kernel", "host_name")
                    if attribute == "host_name":
                        host = _literal(value)
                    elif attribute not in _IDLE:
                        self.fail(at, f"unknown attribute '{attribute}' on an explicit instantiation")
                j = c.after(c.match(j))
            else:
                j = c.after(j)
        if not is_kernel:
            return None
        if c.text(j) == "decltype":  # decltype(f<float>) f<float>;
            j = c.after(c.match(c.after(j)))
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
        values = Arguments()
        for n, (a, b) in enumerate(function.template):
            param, kind, default = parameter(c, a, b)
            given = trimmed(self.tokens[slice(*args[n])]) if n < len(args) else default
            if given is None:
                self.fail(angle, f"template argument '{param}' of '{name}' is missing")
            values.bind(param, kind, given)
        end = close
        while end < len(self.tokens) and c.text(end) != ";":
            end += 1
        self._copy(copied, i)
        self.here = self.spaces.at(j)
        spelled = tuple(values.spelled(self.handed))
        special = self.special.get((name, spelled))
        at = self.tokens[j].start
        if special is not None:
            self._emit(special, host or f"{name}<{', '.join(spelled)}>", Arguments(), template=name, at=at)
        else:
            self._emit(function, host or f"{name}<{', '.join(spelled)}>", values, template=name, at=at)
        return end + 1

    def _emit(self, f: Function, host: str, values: Arguments, *, template: str | None = None, at: int | None = None) -> None:
        """One OpenCL kernel. The template's parameters are replaced by the arguments' tokens, wherever they stand."""
        out, whole = self.out, (self.tokens, self.c, self.before, self.deduced)
        if host in out.kernels:
            self.fail(f.name, f"kernel '{host}' is defined twice")
        entry = "fl_kernel_" + re.sub(r"\W", "_", host)
        while any(info.entry == entry for info in out.kernels.values()):
            entry += "_"
        start = self.tokens[f.first].start if at is None else at
        most = MAX_THREADS
        if f.width is not None:
            most = self._width(values.text(f.width[0]), f.width[1])
        info = KernelInfo(host, entry, most, template=template, at=self.tokens[f.name].start if at is None else at)
        last = self.tokens[min(f.last, len(self.tokens) - 1)].start
        try:
            with out.kernel(host):
                inner = self.spaces.at(f.first)[len(self.here) :] if template else []  # names mean what they mean there
                out.put("".join(f"namespace {name} {{ " for name in inner), start)
                self._write(f, info, values, start, last)
                out.put("}" * len(inner), last)
        except UnsupportedError as problem:
            out.refuse(host, problem)
        else:
            out.kernels[host] = info
        self.tokens, self.c, self.before, self.deduced = whole

    def _write(self, f: Function, info: KernelInfo, values: Arguments, start: int, last: int, head: str = "") -> None:
        """Put the kernel; `head` says what stands in front of its parameters where it is not compiled."""
        out, whole = self.out, self.tokens
        self._focus(values.within(whole[slice(*f.params)]))
        parameters = self.c.split(0, len(self.tokens))
        for a, b in parameters:
            if not head and (pointee := self._pointee(a, b)):
                out.put(f"FL_WHOLE({pointee}) ", start)
        out.put(head or f"__kernel __attribute__((intel_reqd_sub_group_size({SIMD_WIDTH}))) void {info.entry}(", start)
        prologue: list[tuple[str, int]] = []
        taken: dict[int, str] = {}
        first, self.beside = True, {}
        for a, b in parameters:
            piece = self._parameter(a, b, info, taken, prologue)
            if piece:
                out.put(("" if first else ", ") + piece[0], piece[1])
                first = False
        out.put(") {", last)
        self._focus(values.within(whole[slice(*f.body)]))
        begin = self._leading_pragmas()
        for text, origin in prologue:
            out.put(" " + text, origin)
        self._focus(hoist(self.tokens, begin))
        self._copy(begin, len(self.tokens))
        out.put("}", last)

    def _leading_pragmas(self) -> int:
        """`#pragma clang fp …` must stand at the very beginning of a body. Returns the token after those."""
        i = begin = 0
        while i < len(self.tokens) and self.tokens[i].kind in ("space", "comment", "directive"):
            if self.tokens[i].kind == "directive":
                if not re.search(r"(clang|METAL)\s+fp\b", self.tokens[i].text):
                    break
                self.out.put(self.tokens[i].text, self.tokens[i].start)
                begin = i + 1
            i += 1
        return begin

    def _focus(self, tokens: list[Token]) -> None:
        """Make `tokens` what everything else works on."""
        self.tokens, self.c, self.before, self.deduced = tokens, Cursor(tokens), {}, set()

    def _words(self, a: int, b: int) -> str:
        return "".join(t.text for t in trimmed(self.tokens[a:b]))


def _literal(text: str) -> str:
    """The text of one or several string literals side by side."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text))


def c_kernel(c: Cursor, i: int) -> bool:
    """Whether `[[` at `i` opens `[[kernel]]`, or attributes that stand before a kernel."""
    if c.text(c.after(i)) == "kernel":
        return True
    j = c.after(c.match(i))
    return c.text(j) == "kernel" or (c.text(j) == "[[" and c_kernel(c, j))
