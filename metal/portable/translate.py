"""Metal source → C++ for OpenCL: the surface. Types are checked afterwards by frontend.py.

What changes, and all that changes, once the preprocessor has run (preprocess.py):

  * a `kernel` function becomes an OpenCL `__kernel`: buffers by reference become pointers, attribute parameters
    (`uint i [[thread_position_in_grid]]`) become local variables, threadgroup width and SIMD width become attributes;
  * a template kernel is copied once for each explicit instantiation, its parameters replaced by the arguments;
  * `float4(a, b)` becomes `fl_construct<float4>(a, b)`, for every type that may be a vector, and `float4 v(a, b);` too
    (constructors.py);
  * function constants become constants whose values are put in when a function is asked for;
  * `using namespace metal` is blanked: everything stands inside namespace metal. Vertex and fragment functions are left out.

Keywords (`device`, `threadgroup`, …) are macros of metal_stdlib.h. Every piece of output remembers the offset it came from;
that is how a message finds its line and column.
"""

from __future__ import annotations

from . import library
from .constructors import literal
from .errors import SourceMap
from .functions import as_types
from .kernels import c_kernel
from .lowered import Constant, Lowered, declare
from .parameters import ELSEWHERE, GRAPHICS, POSITIONS
from .positions import Positions
from .preprocess import Include, Preprocessor
from .scopes import Namespaces, from_outside
from .strict import refuse

DEFAULT_VERSION = 203  # what metalcompute compiles as
# names that are free in Metal and keywords of C++ for OpenCL
_TAKEN = {"local", "global", "generic", "pipe", "read_only", "write_only", "read_write", "event_t", "queue_t", "reserve_id_t"}

_STANDING = {"noinline", "__noinline__"}  # attributes that are left out: every function is put into its kernel (opencl.py)
_CPP = {"maybe_unused", "fallthrough", "nodiscard", "likely", "unlikely", "noreturn", "deprecated"}
# Metal's attributes that may stand on what is no kernel and none of its parameters
_METAL = {"id", "position", "attribute", "user", "color", "flat", "point_size", "clip_distance", "function_constant", "visible"}
_METAL |= {"stitchable", "unroll", "buffer", "texture", "sampler", "center_perspective", "center_no_perspective", "depth"}

_METAL |= {*POSITIONS, *ELSEWHERE, "threadgroup", "max_total_threads_per_threadgroup", "host_name"}
_QUALIFIED = {f"{u}{name}" for u in ("", "u") for name in ("char", "short", "int", "long")} | {
    "half",
    "float",
    "bool",
    "size_t",
}


def lower(
    source: str, file: str = "program_source", *, version: int = DEFAULT_VERSION, include: Include | None = None
) -> Lowered:
    """Translate the surface of `source`. Raises SourceError (a `metal.error`) at the first thing that cannot be."""
    return _Lowering(source, file, version, include).run()


class _Lowering(Positions):
    def __init__(self, source: str, file: str, version: int, include: Include | None):
        where = SourceMap(source, file)
        tokens, handed = as_types(Preprocessor(where, version, include, library.macros()).run())
        tokens = from_outside(tokens)
        super().__init__(where, tokens)
        self.spaces = Namespaces(tokens)
        self.handed = handed
        self.level, self.dropped = 0, set[int]()  # how deep in braces; those that close a dropped namespace
        self.version = self.out.version = version

    # --- the whole file -------------------------------------------------------------------------------------------
    def run(self) -> Lowered:
        refuse(self.tokens, self.out.where, self.version)
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
        c, token = self.c, self.tokens[i]
        if token.kind != "name":
            if token.text != "[[":
                return None
            return self._definition(i, copied, None) if c_kernel(c, i) else self._program_position(i, copied)
        if token.text == "template":
            after = c.after(i)
            if c.text(after) != "<":
                return self._instantiation(i, copied)
            j = self._skip_attributes(c.after(c.match_angle(after)))
            if c.text(j) in ("kernel", "[["):  # [[: attributes of a kernel
                return self._definition(i, copied, c.split(after + 1, c.match_angle(after)))
        elif token.text == "kernel":
            return self._definition(i, copied, None)
        elif token.text in ("vertex", "fragment") and c.text(c.before(i)) in ("", ";", "}"):
            return self._left_out(i, copied)
        elif token.text == "constant":
            return self._function_constant(i, copied)
        elif token.text == "typedef" and c.text(c.after(i)) == "decltype":
            opening = c.after(c.after(i))
            if c.text(c.after(opening)) in self.templates:  # the type of a kernel, for its instantiations
                self._copy(copied, i)
                return self._behind(";", i)
        return None

    def _behind(self, text: str, i: int) -> int:
        """The token after the next `text`, brackets skipped."""
        while i < len(self.tokens) and self.c.text(i) != text:
            i = self.c.match(i) + 1 if self.c.text(i) in ("(", "[", "{", "[[") else i + 1
        return i + 1

    def _left_out(self, i: int, copied: int) -> int:
        self._copy(copied, i)
        while i < len(self.tokens) and self.c.text(i) not in ("{", ";"):
            i = self.c.match(i) + 1 if self.c.text(i) in ("(", "[[") else i + 1
        return self.c.match(i) + 1 if self.c.text(i) == "{" else i + 1

    def _skip_attributes(self, i: int) -> int:
        while self.c.text(i) == "[[":
            if c_kernel(self.c, i):
                return i
            i = self.c.after(self.c.match(i))
        return i

    def _function_constant(self, i: int, copied: int) -> int | None:
        """`constant T name [[function_constant(index)]];`"""
        c, end = self.c, i
        while end < len(self.tokens) and c.text(end) not in (";", "{", "(", "="):
            if c.text(end) == "[[":
                break
            end += 1
        if c.text(end) != "[[":
            return None
        found = [(args, at) for name, args, at in self._attributes(end) if name == "function_constant"]
        if not found:
            return None
        args, at = found[0]
        wanted = "'function_constant' takes one index, a whole number from 0 to 65535"
        index = self._number(args, at, wanted)
        if not 0 <= index <= 65535:
            self.fail(at, wanted)
        name = c.text(c.before(end))
        words = (c.text(j) for j in range(c.after(i), c.before(end)) if self.tokens[j].kind not in ("space", "comment"))
        kind = " ".join(word for word in words if word not in ("constexpr", "const", "static"))
        known = Constant(index, name, kind)
        if any(known.index == other.index for other in self.out.constants.values()):
            self.fail(at, f"function constant {known.index} is declared twice")
        self.out.constants[name] = known
        self._copy(copied, i)
        self.out.put(declare(known, None), self.tokens[i].start, constant=known)
        return self._behind(";", end)

    # --- everything else ------------------------------------------------------------------------------------------
    def _copy(self, a: int, b: int) -> None:
        """Copy tokens [a, b), rewriting constructors and blanking what means nothing to OpenCL."""
        i = a
        while i < b:
            token = self.tokens[i]
            if i in self.before:
                self.out.put(self.before.pop(i), token.start)
            if token.kind == "comment":
                self.out.put(" " + "\n" * token.text.count("\n"), token.start)
            elif token.kind == "name":
                i = self._name(i, b)
            elif token.text == "[[":
                i = self._attribute(i)
            elif token.text in ("{", "}") and token.kind == "punct":
                self.level += 1 if token.text == "{" else -1 if i not in self.dropped else 0
                self.out.put(token.text if i not in self.dropped else " ", token.start, verbatim=True)
            elif token.text == "(" and (last := self._cast(i)):
                i = last
            elif token.kind == "number" and literal(token.text) != token.text:
                self.out.put(literal(token.text), token.start)
            else:
                self.out.put(token.text, token.start, verbatim=True)
            i += 1

    def _name(self, i: int, end: int) -> int:
        """A name on its way to the output. Returns the last token dealt with."""
        c, token = self.c, self.tokens[i]
        after, before = c.after(i), c.text(c.before(i))
        if token.text == "thread" and before == ")" and self._makes(c.before(i)):
            return i  # a constructor: a value that it makes lies in no address space to OpenCL, and anywhere
        if token.text == "using" and c.text(after) == "namespace" and c.text(c.after(after)) == "metal":
            end = self._behind(";", i) - 1  # metal::raytracing: said where one of its names is used
            if c.text(c.after(c.after(after))) != "::" or GRAPHICS.fullmatch(c.text(c.before(end))):
                return end
        if token.text == "namespace" and c.text(after) != "=":
            return self._namespace(i, after)
        if token.text in ("metal", "simd") and c.text(after) == "::" and c.text(c.after(after)) in _QUALIFIED:
            return c.after(after) - 1  # OpenCL's own types stand in no namespace
        if token.text == "using" and c.text(after) == "metal" and c.text(c.after(c.after(after))) in _QUALIFIED:
            return self._behind(";", i) - 1
        if token.text == "is_function_constant_defined" and c.text(after) == "(":
            self.out.put(f"fl_defined_{c.text(c.after(after))}", token.start)
            return c.match(after)
        if token.text == "__attribute__" and c.text(after) == "(":
            for t in self.tokens[i : c.match(after) + 1]:
                self.out.put(t.text if t.text not in _STANDING else "", t.start, verbatim=t.text not in _STANDING)
            return c.match(after)
        if token.text in self.positions:
            self.out.put(self._position(i), token.start)
            return i
        if token.text in self.types and before not in (".", "->"):
            return self._constructor(i, end)
        if token.text == "constant" and before not in (")", "const"):  # a const table may go to a function that does not say so
            self.out.put("const ", token.start)
        self.out.put(f"fl_{token.text}" if token.text in _TAKEN else token.text, token.start, verbatim=token.text not in _TAKEN)
        return i

    def _makes(self, close: int) -> bool:
        """Whether a constructor's parameters end at `close`: nothing that it gives back stands before its name."""
        c, depth, i = self.c, 0, close
        while i > 0 and (depth := depth + {")": 1, "(": -1}.get(c.text(i), 0)):
            i -= 1
        name = c.before(i)
        ahead = c.text(c.before(name))
        if c.text(name) == "__attribute__":
            return False
        return self.tokens[max(name, 0)].kind == "name" and (ahead in ("explicit", "constexpr", "inline") or ahead in "{};:>)")

    def _namespace(self, i: int, after: int) -> int:
        """A program's own part of namespace metal goes where the program is: its braces are dropped. Others stay."""
        c, brace = self.c, i
        while brace < len(self.tokens) and c.text(brace) not in ("{", ";", "="):
            brace += 1
        if c.text(brace) == "{" and c.text(after) == "metal" and c.after(after) == brace and not self.level:
            self.dropped.add(c.match(brace))
            return brace
        self.out.put("namespace", self.tokens[i].start, verbatim=True)
        return i

    def _attribute(self, i: int) -> int:
        """An attribute outside a kernel's head: those of C++ stay, Metal's say nothing to OpenCL. Returns its last token."""
        end = self.c.match(i)
        names = [name for name, _, _ in self._attributes(i)]
        unknown = next(
            (at for name, _, at in self._attributes(i) if name not in _CPP | _METAL and "::" not in self._words(at, end)), None
        )
        if unknown is not None:
            self.fail(unknown, f"unknown attribute '{self.c.text(unknown)}'")
        if all(name in _CPP for name in names):
            for token in self.tokens[i : end + 1]:
                self.out.put(token.text, token.start, verbatim=True)
        return end
