"""Metal source → C++ for OpenCL: the surface. Types are checked afterwards by frontend.py.

What changes, and all that changes:
  * a `kernel` function becomes an OpenCL `__kernel`: buffers by reference become pointers, attribute parameters
    (`uint i [[thread_position_in_grid]]`) become local variables, threadgroup width and SIMD width become attributes;
  * a template kernel is copied once for each explicit instantiation, its parameters turned into local names;
  * `float4(a, b)` becomes `fl_construct<float4>(a, b)`, for every type that may be a vector;
  * `#include <metal_…>`, `#line` and `using namespace metal` are blanked: everything stands inside namespace metal.
Keywords (`device`, `threadgroup`, …) are macros of metal_stdlib.h, so they work inside a user's own macros too.
Every piece of output remembers the offset it came from; that is how a message finds its line and column.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field

from .errors import SourceError, SourceMap
from .lexer import Cursor, tokenize

SIMD_WIDTH = 32
MAX_THREADS = 1024
MAX_BUFFERS = 31

# attribute → (components it may have, expression for component n)
_POSITIONS = {
    "thread_position_in_grid": "get_global_id({n})",
    "threads_per_grid": "get_global_size({n})",
    "threadgroup_position_in_grid": "get_group_id({n})",
    "threadgroups_per_grid": "get_num_groups({n})",
    "thread_position_in_threadgroup": "get_local_id({n})",
    "threads_per_threadgroup": "get_local_size({n})",
    "dispatch_threads_per_threadgroup": "get_local_size({n})",
}
_SCALARS = {
    "thread_index_in_threadgroup": "get_local_linear_id()",
    "thread_index_in_simdgroup": "get_sub_group_local_id()",
    # broadcast: the compiler does not see by itself that it is one value a SIMD-group, and would gather every load that hangs on it
    "simdgroup_index_in_threadgroup": "sub_group_broadcast((uint)get_sub_group_id(), 0)",
    "threads_per_simdgroup": str(SIMD_WIDTH),
    "thread_execution_width": str(SIMD_WIDTH),
    "simdgroups_per_threadgroup": f"(get_local_size(0) / {SIMD_WIDTH})",
    "dispatch_simdgroups_per_threadgroup": f"(get_local_size(0) / {SIMD_WIDTH})",
}
_VECTORS = {
    f"{base}{n}"
    for base in ("bool", "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "float")
    for n in (2, 3, 4)
}
_ADDRESS = {"device", "constant", "threadgroup", "thread", "const"}


# What OpenCL has and Metal has not, and what Metal leaves out of C++: refused wherever it stands, unless the program declares it
_OPENCL = re.compile(
    r"get_(global|local|group|sub_group|num_groups|num_sub_groups|work_dim|enqueued|max_sub_group)\w*|(work|sub)_group_\w+"
    r"|intel_sub_group_\w+|native_\w+|v(load|store)_?\w+|convert_\w+|__(global|local|constant|private|generic|kernel)"
    r"|(u?char|u?short|u?int|u?long|half|float)(8|16)"
)
_LEFT_OUT = {
    **{f"double{n}": "'double' is not supported in Metal" for n in ("", "2", "3", "4")},
    **{
        w: f"'{w}' is not supported in Metal"
        for w in ("goto", "virtual", "dynamic_cast", "typeid", "new", "delete", "throw", "try")
    },
}


@dataclass
class Buffer:
    """One buffer parameter of a kernel: its index in metalcompute's order, its name, whether the kernel may write it."""

    index: int
    name: str
    writable: bool


@dataclass
class KernelInfo:
    """A kernel function as the host sees it. `entry` is the OpenCL kernel's name; buffers stand in parameter order."""

    name: str
    entry: str
    width: int
    buffers: list[Buffer] = field(default_factory=list)
    threadgroup_bytes: int = 0


class Lowered:
    """The translated text with its kernels, and the way back from its offsets to the source's."""

    def __init__(self, where: SourceMap):
        self.where = where
        self.kernels: dict[str, KernelInfo] = {}
        self._parts: list[str] = []
        self._starts: list[int] = []  # offsets in the output …
        self._origins: list[tuple[int, bool]] = []  # … and in the source; True: the text is verbatim
        self._length = 0

    def put(self, text: str, origin: int, verbatim: bool = False) -> None:
        if text:
            self._starts.append(self._length)
            self._origins.append((origin, verbatim))
            self._parts.append(text)
            self._length += len(text)

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def origin(self, offset: int) -> int:
        """The source offset that the output's character at `offset` came from."""
        i = max(0, bisect.bisect_right(self._starts, offset) - 1)
        if not self._starts:
            return 0
        origin, verbatim = self._origins[i]
        return origin + (offset - self._starts[i] if verbatim else 0)


@dataclass
class _Function:
    first: int  # token range [first, last] of the whole definition
    last: int
    name: int
    params: tuple[int, int]
    body: tuple[int, int]
    width: int
    template: list[tuple[int, int]] | None  # ranges of the template parameters
    namespaces: list[str] = field(default_factory=list)


def lower(source: str, file: str = "program_source") -> Lowered:
    """Translate the surface of `source`. Raises SourceError (a `metal.error`) at the first thing that cannot be."""
    return _Lowering(source, file).run()


class _Lowering:
    def __init__(self, source: str, file: str):
        self.out = Lowered(SourceMap(source, file))
        self.tokens = tokenize(source)
        self.c = Cursor(self.tokens)
        self.templates: dict[str, _Function] = {}
        self.types = set(_VECTORS) | {"vec"}

    def fail(self, i: int, text: str) -> None:
        offset = self.tokens[i].start if i < len(self.tokens) else len(self.out.where.source)
        raise SourceError(self.out.where, [(offset, text)])

    # --- the whole file -------------------------------------------------------------------------------------------
    def run(self) -> Lowered:
        self._refuse_what_metal_lacks()
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

    def _refuse_what_metal_lacks(self) -> None:
        c, found = self.c, []
        names = [i for i, token in enumerate(self.tokens) if token.kind == "name"]
        # `float mad(…`: a name after a type and before a parenthesis is the program's own function
        own = {c.text(i) for i in names if c.text(c.after(i)) == "(" and self._is_type(c.before(i))}
        for i in names:
            text, offset = c.text(i), self.tokens[i].start
            if text in _LEFT_OUT:
                found.append((offset, _LEFT_OUT[text]))
            elif _OPENCL.fullmatch(text) and text not in own and c.text(c.before(i)) not in (".", "->"):
                found.append((offset, f"'{text}' is OpenCL's, Metal has no such name"))
            elif text in _VECTORS and c.text(c.before(i)) == "(" and c.text(c.after(i)) == ")":
                opening = c.after(c.after(i))
                if c.text(opening) == "(" and len(c.split(opening + 1, c.match(opening), angles=False)) > 1:
                    found.append((self.tokens[c.before(i)].start, f"a vector is written {text}(…) in Metal, not ({text})(…)"))
        if found:
            raise SourceError(self.out.where, found)

    def _is_type(self, i: int) -> bool:
        return i >= 0 and self.tokens[i].kind == "name" and self.c.text(i) not in ("return", "else", "do", "case")

    def _collect_type_names(self) -> None:
        """Names that may turn out to be vector types: template type parameters, typedefs and aliases."""
        c = self.c
        for i, token in enumerate(self.tokens):
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
                for name, args, at in self._attributes(j):
                    if name == "max_total_threads_per_threadgroup":
                        width = self._width(args, at)
                    elif name not in ("kernel", "host_name"):
                        self.fail(at, f"unknown attribute '{name}' on a kernel function")
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
                for name, args, at in self._attributes(j):
                    is_kernel |= name == "kernel"
                    if name == "host_name":
                        host = args.strip().strip('"')
                    elif name != "kernel":
                        self.fail(at, f"unknown attribute '{name}' on an explicit instantiation")
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

    def _parameter(
        self, a: int, b: int, info: KernelInfo, taken: dict[int, str], prologue: list[tuple[str, int]]
    ) -> tuple[str, int] | None:
        """One kernel parameter: returns the OpenCL parameter, or None where it becomes a variable of the prologue."""
        c, attributes, plain, i = self.c, [], [], a
        while i < b:
            if c.text(i) == "[[":
                attributes += self._attributes(i)
                i = c.match(i)
            elif self.tokens[i].kind not in ("space", "comment"):
                plain.append(i)
            i += 1
        if not plain:
            self.fail(a, "expected a kernel parameter")
        name, origin = c.text(plain[-1]), self.tokens[plain[0]].start
        if self.tokens[plain[-1]].kind != "name":
            self.fail(plain[-1], "expected a parameter name")
        kind = " ".join(c.text(i) for i in plain[:-1])
        marks = [c.text(i) for i in plain if c.text(i) in ("&", "*")]
        if marks:
            space = next((c.text(i) for i in plain if c.text(i) in _ADDRESS - {"const", "thread"}), None)
            if space == "threadgroup":
                self.fail(plain[0], "threadgroup kernel arguments cannot be given by this host (metalcompute cannot either)")
            if space is None:
                self.fail(plain[0], f"parameter '{name}' must be a pointer or reference to device or constant memory")
            index = self._buffer_index(attributes, taken, plain[-1])
            taken[index] = name
            writable = space == "device" and "const" not in kind.split("*")[0].split()
            info.buffers.append(Buffer(index, name, writable))
            if marks[-1] == "*":
                return f"{kind} {name}", origin
            base = kind[: kind.rindex("&")]
            prologue.append((f"{base} &{name} = *fl_ref_{name};", origin))
            return f"{base} *fl_ref_{name}", origin
        for attribute, _, at in attributes:
            prologue.append((f"{kind} {name} = {self._builtin(attribute, plain[0], at)};", origin))
            return None
        self.fail(plain[-1], f"parameter '{name}' needs an attribute such as [[buffer(0)]] or [[thread_position_in_grid]]")
        return None

    def _buffer_index(self, attributes: list[tuple[str, str, int]], taken: dict[int, str], at: int) -> int:
        index = None
        for name, args, where in attributes:
            if name != "buffer":
                self.fail(where, f"attribute '{name}' does not fit a buffer parameter")
            if not args.strip().isdigit():
                self.fail(where, "'buffer' takes one index, a whole number")
            index = int(args)
            if index in taken:
                self.fail(where, f"buffer index {index} is already used by parameter '{taken[index]}'")
        if index is None:
            index = next(n for n in range(MAX_BUFFERS + 1) if n not in taken)
        if index >= MAX_BUFFERS:
            self.fail(at, f"buffer index {index} is out of range: Metal has {MAX_BUFFERS} (0 to {MAX_BUFFERS - 1})")
        return index

    def _builtin(self, attribute: str, type_token: int, at: int) -> str:
        kind = self.c.text(type_token)
        match = re.fullmatch(r"(uint|ushort)([23]?)", kind)
        if attribute not in _POSITIONS and attribute not in _SCALARS:
            self.fail(at, f"unknown attribute '{attribute}' on a kernel parameter")
        if not match or (attribute in _SCALARS and match.group(2)):
            wanted = "ushort or uint" if attribute in _SCALARS else "ushort, ushort2, ushort3, uint, uint2 or uint3"
            self.fail(type_token, f"type '{kind}' is not valid for attribute '{attribute}': use {wanted}")
        assert match is not None
        if attribute in _SCALARS:
            return f"({kind}){_SCALARS[attribute]}"
        parts = [f"({match.group(1)}){_POSITIONS[attribute].format(n=n)}" for n in range(int(match.group(2) or 1))]
        return parts[0] if len(parts) == 1 else f"({kind})({', '.join(parts)})"

    def _attributes(self, i: int) -> list[tuple[str, str, int]]:
        """(name, arguments, token) of each attribute between `[[` at `i` and its `]]`."""
        c, end, found = self.c, self.c.match(i), []
        for a, b in c.split(i + 1, end - 1, angles=False):
            at = c.skip(a)
            args = ""
            if c.text(c.after(at)) == "(":
                args = self._source(c.after(at) + 1, c.match(c.after(at)))
            found.append((c.text(at), args, at))
        return found

    def _width(self, args: str, at: int) -> int:
        if not args.strip().isdigit() or not 1 <= int(args) <= MAX_THREADS:
            self.fail(at, f"max_total_threads_per_threadgroup takes a whole number from 1 to {MAX_THREADS}")
        return max(int(args) // SIMD_WIDTH * SIMD_WIDTH, SIMD_WIDTH)

    def _source(self, a: int, b: int) -> str:
        return "".join(t.text for t in self.tokens[a:b] if t.kind != "comment")

    # --- everything else ------------------------------------------------------------------------------------------
    def _copy(self, a: int, b: int) -> None:
        """Copy tokens [a, b), rewriting constructors and blanking directives that mean nothing to OpenCL."""
        c, i = self.c, a
        while i < b:
            token = self.tokens[i]
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
        declarator = c.text(inside) in ("&", "*") and c.text(c.before(i)) in _ADDRESS
        if c.text(after) == "(" and after < end and not declarator and c.text(c.before(i)) != "operator":
            self.out.put("fl_construct<", token.start)
            for j in range(i, last + 1):
                self.out.put(self.tokens[j].text, self.tokens[j].start, verbatim=True)
            self.out.put(">", token.start)
            return last
        self.out.put(token.text, token.start, verbatim=True)
        return i


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
