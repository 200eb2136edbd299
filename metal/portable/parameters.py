"""A kernel's parameters: which buffer each takes, and what an attribute such as [[thread_position_in_grid]] stands for."""

from __future__ import annotations

import re
from typing import NoReturn

from .conditions import evaluate
from .errors import SourceError, SourceMap
from .lexer import Cursor, Token, tokenize
from .lowered import SIMD_WIDTH, Buffer, KernelInfo, Lowered, ThreadgroupArgument
from .names import aliases, enumerators, source

MAX_BUFFERS = 31

# attribute → (components it may have, expression for component n)
_POSITIONS = {
    "thread_position_in_grid": "get_global_id({n})",
    "threads_per_grid": "get_global_size({n})",
    "threadgroup_position_in_grid": "get_group_id({n})",
    "threadgroups_per_grid": "get_num_groups({n})",
    "thread_position_in_threadgroup": "get_local_id({n})",
    "threads_per_threadgroup": "get_local_size({n})",
    "dispatch_threads_per_threadgroup": "get_enqueued_local_size({n})",
}
_SCALARS = {
    "thread_index_in_threadgroup": "get_local_linear_id()",
    "thread_index_in_simdgroup": "get_sub_group_local_id()",
    "thread_index_in_quadgroup": "(get_sub_group_local_id() % 4)",
    "quadgroup_index_in_threadgroup": "(get_local_linear_id() / 4)",
    "quadgroups_per_threadgroup": "(get_local_size(0) / 4)",
    "dispatch_quadgroups_per_threadgroup": "(get_local_size(0) / 4)",
    # broadcast: the compiler does not see by itself that these are one value a SIMD-group, and loads that hang on them would be
    # gathers: matmul took five times as long when the number of SIMD-groups was not
    "simdgroup_index_in_threadgroup": "sub_group_broadcast((uint)get_sub_group_id(), 0)",
    "threads_per_simdgroup": str(SIMD_WIDTH),
    "thread_execution_width": str(SIMD_WIDTH),
    "simdgroups_per_threadgroup": "sub_group_broadcast((uint)get_num_sub_groups(), 0)",
    "dispatch_simdgroups_per_threadgroup": "sub_group_broadcast((uint)get_enqueued_num_sub_groups(), 0)",
}
POSITIONS = {*_POSITIONS, *_SCALARS}
# other spellings of the types that a position may have
_POSITION_TYPES = {
    "unsigned int": "uint",
    "unsigned": "uint",
    "uint32_t": "uint",
    "uint16_t": "ushort",
    "unsigned short": "ushort",
}
_POSITION_TYPES |= {f"vec < {kind} , {n} >": f"{kind}{n}" for kind in ("uint", "ushort") for n in (2, 3)}
# what Metal has and this device has not: the kernel is refused when it is asked for, not the file
ELSEWHERE = {"texture", "sampler", "grid_origin", "grid_size", "stage_in", "payload", "imageblock_data"}
ADDRESS_SPACES = {"device", "constant", "threadgroup", "thread", "const"}


# types of Metal's that are graphics' or ray tracing's
GRAPHICS = re.compile(
    r"\b(texture\w*|depth(2d|cube)\w*|sampler|raytracing|acceleration_structure|intersector|intersection_\w+|imageblock\w*"
    r"|visible_function_table|command_buffer|compute_command|render_command|render_pipeline_state|compute_pipeline_state|access)\b"
)
NO_GRAPHICS = "is not emulated: textures, samplers, ray tracing and indirect commands are out of scope here"


class UnsupportedError(SourceError):
    """A kernel that is right Metal and cannot run here."""


class Parameters:
    """The part of the translation that deals with one kernel parameter at a time, over a source's tokens."""

    def __init__(self, where: SourceMap, tokens: list[Token]):
        self.out = Lowered(where)
        self.tokens, self.c = tokens, Cursor(tokens)
        self.positions: dict[str, str] = {}  # names at program scope that stand for a position: their values
        self.aliases = dict(aliases(self.c))
        self.beside: dict[str, str] = {}  # a kernel's positions so far: how their types end, in 2, 3 or a letter
        self.numbers = dict(enumerators(self.c))  # names that stand for whole numbers, as an attribute may use them

    def fail(self, i: int, text: str) -> NoReturn:
        """Refuse the program at token `i`."""
        offset = self.tokens[i].start if i < len(self.tokens) else len(self.out.where.source)
        raise SourceError(self.out.where, [(offset, text)])

    def _parameter(
        self, a: int, b: int, info: KernelInfo, taken: dict[int, str], prologue: list[tuple[str, int]]
    ) -> tuple[str, int] | None:
        """One kernel parameter: returns the OpenCL parameter, or None where it becomes a variable of the prologue."""
        c, i, length = self.c, a, 0
        attributes, plain = list[tuple[str, str, int]](), list[int]()
        while i < b:
            if c.text(i) == "[[":
                attributes += self._attributes(i)
                i = c.match(i)
            elif c.text(i) == "[" and plain:  # `constant float x[4]`, which is a pointer
                length, i = i, c.match(i)
            elif self.tokens[i].kind not in ("space", "comment"):
                plain.append(i)
            i += 1
        if not plain:
            self.fail(a, "expected a kernel parameter")
        found = next((i for i in plain[:-1] if GRAPHICS.fullmatch(c.text(i))), None)
        if found is not None:
            raise UnsupportedError(self.out.where, [(self.tokens[found].start, f"'{c.text(found)}' {NO_GRAPHICS}")])
        name, origin = c.text(plain[-1]), self.tokens[plain[0]].start
        if self.tokens[plain[-1]].kind != "name":
            self.fail(plain[-1], "expected a parameter name")
        if name in self.positions:
            self.fail(plain[-1], f"'{name}' is a position at program scope: another of that name is not supported here")
        kind = " ".join(c.text(i) for i in plain[:-1])
        marks = [c.text(i) for i in plain if c.text(i) in ("&", "*")]
        if length and not marks:
            kind, marks = f"{kind} *", ["*"]
        if marks:
            space = next((c.text(i) for i in plain if c.text(i) in ADDRESS_SPACES - {"const", "thread"}), None)
            if space is None:
                self.fail(
                    plain[0],
                    f"parameter '{name}' must be a pointer or reference to device or constant memory, or to threadgroup memory",
                )
            position = len(info.buffers) + len(info.threadgroups)
            if space == "threadgroup":
                others = {argument.index: argument.name for argument in info.threadgroups}
                index = self._index("threadgroup", attributes, others, plain[-1])
                info.threadgroups.append(ThreadgroupArgument(index, name, position))
            else:
                index = self._index("buffer", attributes, taken, plain[-1])
                taken[index] = name
                writable = space == "device" and "const" not in kind.split("*")[0].split()
                when = next((args.strip() for attribute, args, _ in attributes if attribute == "function_constant"), None)
                info.buffers.append(Buffer(index, name, writable, position, when=when, reference=marks[-1] == "&"))
            if marks[-1] == "*":
                return f"{kind} {name}", origin
            base = kind[: kind.rindex("&")]
            prologue.append((f"{base} &{name} = *fl_ref_{name};", origin))
            return f"{base} *fl_ref_{name}", origin
        attributes = [found for found in attributes if found[0] != "maybe_unused"]
        for attribute, _, at in attributes[:1]:
            spelled = self._spelled(kind)
            prologue.append((f"{spelled} {name} = {self._builtin(attribute, spelled, plain[0], at)};", origin))
            if len(attributes) > 1:
                self.fail(attributes[1][2], f"parameter '{name}' is '{attribute}': it cannot be '{attributes[1][0]}' as well")
            self._agree(attribute, spelled, plain[0], at)
            return None
        self.fail(plain[-1], f"parameter '{name}' needs an attribute such as [[buffer(0)]] or [[thread_position_in_grid]]")
        return None

    def _spelled(self, kind: str) -> str:
        """A position's type by its own name."""
        bare = " ".join(re.sub(r"\b(const|static)\b|\bmetal ::", "", kind).split())
        for _ in range(8):  # an alias of an alias; never for ever
            bare = self.aliases.get(bare, bare)
        return _POSITION_TYPES.get(bare, bare)

    def _agree(self, attribute: str, kind: str, type_token: int, at: int) -> None:
        """Refuse what one kernel's positions may not be together."""
        other = {"thread_execution_width": "threads_per_simdgroup", "threads_per_simdgroup": "thread_execution_width"}
        if other.get(attribute) in self.beside:
            self.fail(at, "a kernel may not have both 'thread_execution_width' and 'threads_per_simdgroup'")
        if attribute in _POSITIONS:
            for name, size in self.beside.items():
                if name in _POSITIONS and size != kind[-1:]:
                    both = f"'{attribute}' and '{name}'"
                    self.fail(type_token, f"{both} must be both scalars, or vectors of the same number of components")
        self.beside[attribute] = kind[-1:]

    def _index(self, kind: str, attributes: list[tuple[str, str, int]], taken: dict[int, str], at: int) -> int:
        """The index in `[[buffer(n)]]` or `[[threadgroup(n)]]`; without one, the first that is free."""
        index = None
        for name, args, where in attributes:
            if (name == "function_constant" and kind == "buffer") or name == "user":  # user(…) binds nothing in a kernel
                continue
            if name != kind:
                self.fail(where, f"attribute '{name}' does not fit a {kind} parameter")
            if index is not None:
                self.fail(where, f"a {kind} parameter has one index, {index}: another one is given here")
            index = self._number(args, where, f"'{kind}' takes one index, a whole number")
            if index in taken:
                self.fail(where, f"{kind} index {index} is already used by parameter '{taken[index]}'")
        if index is None:
            index = next(n for n in range(MAX_BUFFERS + 1) if n not in taken)
        if not 0 <= index < MAX_BUFFERS:
            self.fail(at, f"{kind} index {index} is out of range: Metal has {MAX_BUFFERS} (0 to {MAX_BUFFERS - 1})")
        return index

    def _builtin(self, attribute: str, kind: str, type_token: int, at: int) -> str:
        """The value of an attribute parameter of that type."""
        match = re.fullmatch(r"(uint|ushort)([23]?)", kind)
        if attribute in ELSEWHERE:
            raise UnsupportedError(
                self.out.where, [(self.tokens[at].start, f"'{attribute}' is not emulated: this kernel cannot run here")]
            )
        if attribute not in _POSITIONS and attribute not in _SCALARS:
            self.fail(at, f"unknown attribute '{attribute}' on a kernel parameter")
        if not match or (attribute in _SCALARS and match.group(2)):
            wanted = "ushort or uint" if attribute in _SCALARS else "ushort, ushort2, ushort3, uint, uint2 or uint3"
            self.fail(type_token, f"type '{kind}' is not valid for attribute '{attribute}': use {wanted}")
        assert match is not None
        kind = match.group(0)
        if attribute in _SCALARS:
            return f"({kind}){_SCALARS[attribute]}"
        parts = [f"({match.group(1)}){_POSITIONS[attribute].format(n=n)}" for n in range(int(match.group(2) or 1))]
        return parts[0] if len(parts) == 1 else f"({kind})({', '.join(parts)})"

    def _attributes(self, i: int) -> list[tuple[str, str, int]]:
        """(name, arguments, token) of each attribute between `[[` at `i` and its `]]`."""
        c, end, found = self.c, self.c.match(i), []
        for a, _ in c.split(i + 1, end - 1, angles=False):
            at = c.skip(a)
            args = ""
            if c.text(c.after(at)) == "(":
                args = self._source(c.after(at) + 1, c.match(c.after(at)))
            found.append((c.text(at), args, at))
        return found

    def _width(self, args: str, at: int) -> int:
        wanted = "max_total_threads_per_threadgroup takes a whole number from 1 on"
        number = self._number(args, at, wanted)
        if number < 1:
            self.fail(at, wanted)
        return number

    def _number(self, text: str, at: int, wanted: str) -> int:
        """The value of a constant expression of numbers, as an attribute takes one."""
        try:
            text = re.sub(
                r"\b[A-Za-z_]\w*(?:\s*::\s*\w+)*", lambda m: self.numbers.get(m[0].split(":")[-1].strip(), m[0]), text
            )
            if not re.search(r"\b[A-Za-z_]", text):  # a name is no number here, though 0 to #if
                return evaluate(tokenize(text))
        except ValueError:
            pass
        self.fail(at, wanted)

    def _source(self, a: int, b: int) -> str:
        return source(self.c, a, b)
