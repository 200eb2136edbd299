"""The translated program with its checks put in: every access to memory, loop and barrier calls a function of checked.h.

Works on libclang's tree of the program that frontend.check has read, and only inserts text, so that every piece keeps its
origin. What an expression's parent does with it says whether it is read or written: a load is a conversion of its own there.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from clang.cindex import Cursor, TranslationUnit, TypeKind
from clang.cindex import CursorKind as K

from ..lowered import Buffer, Lowered
from .flow import Flow
from .numbers import Numbers
from .tree import FUNCTIONS, called, in_program, is_array, memory, operator

READ, WRITE, ATOMIC, PADDED = 1, 2, 4, 16  # padded: some of it nobody need have written
PATH, BOUNDS = -1, 0  # roles: part of a longer access; an address that something is bound to
_SWIZZLE = re.compile(r"\.\s*([xyzwrgba]{1,4})\s*$")
_COMPONENT = {c: n % 4 for n, c in enumerate("xyzwrgba")}
_NOT_RUN = {K.TYPE_REF, K.TEMPLATE_REF, K.NAMESPACE_REF, K.STATIC_ASSERT, K.INTEGER_LITERAL, K.TYPEDEF_DECL}
_NOT_RUN |= {K.CXX_UNARY_EXPR}  # sizeof
_MATRIX = {"simdgroup_load", "simdgroup_store", "simdgroup_multiply", "simdgroup_multiply_accumulate"}
_LANES = {"simd_shuffle": 32, "simd_broadcast": 32, "quad_shuffle": 4, "quad_broadcast": 4}
_ACROSS = {"simd_shuffle_xor": 32, "quad_shuffle_xor": 4}
_PARTS = (K.DECL_REF_EXPR, K.MEMBER_REF_EXPR, K.ARRAY_SUBSCRIPT_EXPR, K.UNEXPOSED_EXPR)
_ATOMIC_HOW = {"atomic_load_explicit": READ, "atomic_store_explicit": WRITE}
_CASTS = (K.CSTYLE_CAST_EXPR, K.CXX_REINTERPRET_CAST_EXPR)
_COMPARE = {"operator==", "operator!=", "operator<=", "operator>="}


@dataclass
class Array:
    """A threadgroup variable of a kernel, and its bytes. Its number is its place in the kernel's list."""

    name: str
    size: int


class Instrument(Flow, Numbers):
    """One pass over a program: `lowered` gets the calls, `sites` and `arrays` say what their numbers mean."""

    def __init__(self, lowered: Lowered, unit: TranslationUnit, file: str, checks: Collection[str] = ()):
        super().__init__(lowered)
        self.limits, self.fast_math = "limits" in checks, "fast-math" in checks
        self.unordered = False  # whether what atomics return is used: results may then hang on the order, rightly
        self.arrays: dict[str, list[Array]] = {}
        self._kernels = {k.entry: k for k in lowered.kernels.values()}
        self._poisoned: set[str] = set()  # variables that hold a mark until they are written
        functions = list(in_program(unit, file))
        self._find_barriers(functions)
        for function in functions:
            self._function(function)
        self._apply()

    def _function(self, function: Cursor) -> None:
        body = next((c for c in function.get_children() if c.kind == K.COMPOUND_STMT), None)
        if body is None:
            return
        start, at = self._span(function)[0], self._span(body)[0]
        if re.search(r"\bconstexpr\b", self.text[start:at]):
            return
        self._kernel = self._kernels.get(function.spelling)
        self._reference = function.result_type.kind == TypeKind.LVALUEREFERENCE
        self._enter(body)
        self._enter_numbers(function, body)
        self._rooted: dict[str, Buffer] = {}  # pointers that go into one buffer only
        assigned = (
            c
            for n in body.walk_preorder()
            if n.kind == K.BINARY_OPERATOR and operator(self, n) == "="
            for c in n.get_children()
        )
        self._assigned = {c.referenced.get_usr() for c in assigned if c.kind == K.DECL_REF_EXPR and c.referenced is not None}
        if self._kernel is not None:
            arrays = self.arrays.setdefault(self._kernel.name, [])
            for argument in self._kernel.threadgroups:
                self._point(at + 1, f" fl_take({argument.name}, {len(arrays)});")
                arrays.append(Array(argument.name, 0))
        for child in body.get_children():
            self._visit(child)
        self._leave(function, body)

    # --- expressions --------------------------------------------------------------------------------------------------
    def _visit(self, node: Cursor, role: int = READ) -> None:
        """Put in what `node`, and all below it, asks for; `role` is what its parent does with it."""
        kind = node.kind
        if kind in _NOT_RUN:
            return
        children = list(node.get_children())
        space = memory(node.type)
        if space and self._lvalue(node, children, space, role):
            return
        if kind == K.PAREN_EXPR:
            self._visit(children[0], role)
        elif kind in _PARTS and self._unset(node):
            self._seen(node, role)
            if kind == K.ARRAY_SUBSCRIPT_EXPR:
                self._subscript(node, children)
            else:
                for child in children:
                    self._visit(child, PATH)
        elif kind == K.UNEXPOSED_EXPR:
            part = role != READ and self._swizzled(node)
            # a class object on its way to one of its methods is read where the method is const
            passed = role if node.type.spelling.startswith("__generic") else READ
            for child in children:
                self._visit(child, PATH if part or is_array(child.type) else passed)
        elif kind == K.MEMBER_REF_EXPR and node.referenced is not None and node.referenced.kind == K.FIELD_DECL:
            for child in children:
                self._visit(child, READ if role == READ or child.type.kind == TypeKind.POINTER else PATH)
        elif kind == K.BINARY_OPERATOR and len(children) == 2:
            self._operator(node, children)
            sign = operator(self, node)
            self._visit(children[0], WRITE if sign == "=" else READ)
            self._visit(children[1])
            if sign == "=" and memory(children[0].type):
                self._value(children[1])
            elif sign in ("/", "%"):
                self._value(node)
                self._divisor(node, children[1])
            elif node.type.kind == TypeKind.POINTER:
                for child in children:
                    self._index(child)
        elif kind == K.COMPOUND_ASSIGNMENT_OPERATOR:
            self._visit(children[0], READ | WRITE)
            self._visit(children[1])
            if operator(self, node) in ("/=", "%="):
                self._divisor(node, children[1])
        elif kind == K.UNARY_OPERATOR:
            words = self._words(node)
            changes = words.startswith(("++", "--")) or words.endswith(("++", "--"))
            self._visit(children[0], PATH if words.startswith("&") else READ | WRITE if changes else READ)
        elif kind == K.ARRAY_SUBSCRIPT_EXPR:  # of private memory
            self._subscript(node, children)
        elif kind == K.CALL_EXPR:
            self._call(node, children)
        elif kind in _CASTS:
            if self.limits and _to_atomic(node, children[-1]):
                self._wrap(node, "fl_says(", f", {self._site(node)}, FL_NOT_ATOMIC)", 2)
            for child in children:
                self._visit(child)
        elif kind == K.VAR_DECL:
            self._variable(node, children)
        elif kind == K.DECL_STMT:
            for child in children:
                self._visit(child)
                if child.kind == K.VAR_DECL:
                    self._poison(node, child)
        elif kind == K.RETURN_STMT:
            for child in children:
                self._visit(child, BOUNDS if self._reference else READ)
        elif not self._statement(node, children):
            for child in children:
                self._visit(child)

    def _lvalue(self, node: Cursor, children: list[Cursor], space: str, role: int) -> bool:
        """A node that stands for a place in device, constant or threadgroup memory; False if it is none after all."""
        kind = node.kind
        here = role != PATH and not is_array(node.type)
        if kind == K.ARRAY_SUBSCRIPT_EXPR and memory(children[0].type) and not is_array(children[0].type):
            if here:  # a component of a vector, by a number: of the vector's place only the bounds
                self._access(children[0], node, BOUNDS)
            self._visit(children[0], PATH)
            self._visit(children[1])
        elif kind == K.ARRAY_SUBSCRIPT_EXPR:
            if here:
                self._access(node, node, role)
            self._subscript(node, children)
        elif kind == K.MEMBER_REF_EXPR or (kind == K.UNARY_OPERATOR and self._words(node).startswith("*")):
            if kind == K.MEMBER_REF_EXPR and (not children or node.referenced is None or node.referenced.kind != K.FIELD_DECL):
                return False
            if here and not (kind == K.MEMBER_REF_EXPR and node.referenced.is_bitfield()):
                self._access(node, node, role)
            for child in children:
                self._visit(child, PATH if memory(child.type) and child.type.kind != TypeKind.POINTER else READ)
        elif kind == K.DECL_REF_EXPR:
            refers = node.referenced is not None and node.referenced.type.kind == TypeKind.LVALUEREFERENCE
            if here and (refers or space == "local"):
                self._access(node, node, role)
        elif kind == K.UNEXPOSED_EXPR and children and memory(children[0].type):
            letters = _SWIZZLE.search(self._words(node))
            if children[0].type.get_canonical().kind != TypeKind.EXTVECTOR or not letters:  # as one of its base classes
                self._visit(children[0], role)
                return True
            if here:
                components = [_COMPONENT[c] for c in letters[1]]
                first, last = min(components), max(components)
                size = max(1, node.type.get_size()) // (4 if len(components) == 3 else len(components))
                self._access(children[0], node, role, (first * size, (last - first + 1) * size))
            self._visit(children[0], PATH)
        elif kind == K.CALL_EXPR:  # it returns a reference
            if here:
                self._access(node, node, role)
            self._call(node, children)
        elif kind == K.CONDITIONAL_OPERATOR:
            self._visit(children[0])
            for child in children[1:]:
                self._visit(child, role)
        else:
            return False
        return True

    def _access(self, where: Cursor, node: Cursor, role: int, part: tuple[int, int] | None = None) -> None:
        """A call around `where`: it is accessed by `node`, whole or (first byte, bytes) of it."""
        kind = node.type.get_canonical()
        padded = kind.kind == TypeKind.RECORD and "fl_packed" not in kind.spelling
        padded = padded or (kind.kind == TypeKind.EXTVECTOR and kind.element_count == 3)
        if padded and role > 0 and role & READ:
            role |= PADDED
        root = self._root(node)
        tail = f"), {self._site(node, self._named(node))}, {role}"
        if part is None and root:
            self._wrap(where, "(*fl_from(&(", f"{tail}, {root.index}))")
        elif part is None:
            self._wrap(where, "(*fl_on(&(", f"{tail}))")
        else:
            self._wrap(where, "(*fl_part_on(&(", f"{tail}, {part[0]}, {part[1]}))")

    def _base(self, node: Cursor) -> Cursor | None:
        """The variable that an access of a kernel begins at; None where that is not seen."""
        while node.kind != K.DECL_REF_EXPR:
            children = [c for c in node.get_children() if c.kind not in _NOT_RUN]
            if not children or node.kind in (K.CALL_EXPR, K.CONDITIONAL_OPERATOR):
                return None
            pointers = [c for c in children if c.type.get_canonical().kind == TypeKind.POINTER or memory(c.type)]
            node = (pointers or children)[0]
        return node if node.referenced is not None and self._kernel is not None else None

    def _root(self, node: Cursor) -> Buffer | None:
        """The kernel's buffer at the beginning of an access: of `x[i].y` it is x, of `row[i]` too where row began as x + n."""
        base = self._base(node)
        if base is None or self._kernel is None:
            return None
        known = next((b for b in self._kernel.buffers if b.name == base.spelling), None)
        return known if known and base.referenced.kind == K.PARM_DECL else self._rooted.get(base.referenced.get_usr(), known)

    def _named(self, node: Cursor) -> str:
        """The name of that buffer, or of the threadgroup variable that an access begins at."""
        root, base = self._root(node), self._base(node)
        if root is None and base is not None and self._kernel is not None:
            return next((a.name for a in self.arrays[self._kernel.name] if a.name == base.spelling), "")
        return root.name if root else ""

    def _subscript(self, node: Cursor, children: list[Cursor]) -> None:
        base, index = children
        of = next(iter(base.get_children()), base) if base.kind == K.UNEXPOSED_EXPR else base
        self._visit(base, PATH)
        self._visit(index)
        self._index(index)
        kind = of.type.get_canonical()
        if kind.kind not in (TypeKind.CONSTANTARRAY, TypeKind.EXTVECTOR):
            return
        literal = self._words(index).rstrip("uU")
        if not (literal.isdigit() and int(literal) < kind.element_count):
            self._wrap(index, "fl_index(", f", {kind.element_count}, {self._site(node)})", 2)

    def _unset(self, node: Cursor) -> bool:
        """Whether it is, or is a part of, a private variable that holds a mark until it is written."""
        while node.kind in _PARTS and node.kind != K.DECL_REF_EXPR:
            children = list(node.get_children())
            if not children or (node.kind == K.UNEXPOSED_EXPR and not (is_array(children[0].type) or self._swizzled(node))):
                return False
            node = children[0]
        return node.kind == K.DECL_REF_EXPR and node.referenced is not None and node.referenced.get_usr() in self._poisoned

    def _component(self, node: Cursor) -> bool:
        """Whether it is a part of a vector, which no reference can be bound to."""
        of = next(iter(node.get_children()), node) if node.kind == K.ARRAY_SUBSCRIPT_EXPR else node
        return node.kind == K.UNEXPOSED_EXPR or (of is not node and of.type.get_canonical().kind == TypeKind.EXTVECTOR)

    def _swizzled(self, node: Cursor) -> bool:
        return _SWIZZLE.search(self._words(node)) is not None

    def _seen(self, node: Cursor, role: int) -> None:
        """A private variable, or a part of one, that must hold more than its mark when it is read."""
        kind = node.type.get_canonical()
        if role not in (READ, READ | WRITE) or is_array(kind) or kind.kind in (TypeKind.RECORD, TypeKind.POINTER):
            return
        vector = kind.kind == TypeKind.EXTVECTOR  # of three, the fourth place is nobody's
        size = kind.element_count * kind.element_type.get_size() if vector else max(0, kind.get_size())
        if role == READ:
            self._wrap(node, "fl_seen(", f", {size}, {self._site(node)})", 1)
        elif not self._component(node):
            self._wrap(node, "fl_seen_at(", f", {size}, {self._site(node)})", 1)

    # --- declarations -------------------------------------------------------------------------------------------------
    def _variable(self, node: Cursor, children: list[Cursor]) -> None:
        start, end = self._span(node)
        name = self._at(node.location.offset)
        bound = node.type.kind == TypeKind.LVALUEREFERENCE
        if self._kernel is not None and memory(node.type) == "local" and not bound:
            arrays = self.arrays[self._kernel.name]
            self._wrap((name, name + len(node.spelling)), "(&", ")")
            self._point(end, f" = fl_array<decltype({node.spelling})>({len(arrays)})")
            arrays.append(Array(node.spelling, node.type.get_size()))
            return
        if "constexpr" in self.text[start:name]:
            return
        values = [child for child in children if child.kind.is_expression()]  # the others are parts of its type
        if node.type.get_canonical().kind == TypeKind.POINTER and node.get_usr() not in self._assigned:
            root = next(map(self._root, values), None)
            if root is not None:
                self._rooted[node.get_usr()] = root
        for child in values:
            # `constant Args &args = *fl_ref_args`, a kernel's parameter: all of it must be there
            whole = self._words(child).startswith("*fl_ref_") and memory(child.type) == "constant"
            self._visit(child, BOUNDS if bound and not whole else READ)
            if node.get_usr() in self._indices:
                self._index(child)

    def _poison(self, statement: Cursor, node: Cursor) -> None:
        """A private variable that is declared without a value, and may be read before it has one, gets a mark."""
        kind, end = node.type.get_canonical(), self._span(node)[1]
        if memory(node.type) or any(c in "={(" for c in self.text[self._at(node.location.offset) : end]):
            return
        if not kind.is_pod() or kind.kind == TypeKind.POINTER:
            return
        if self._words(statement).endswith(";"):
            self._poisoned.add(node.get_usr())
            self._point(self._span(statement)[1], f" fl_poison(&{node.spelling});")

    # --- calls ----------------------------------------------------------------------------------------------------------
    def _call(self, node: Cursor, children: list[Cursor]) -> None:
        name, callee = called(node), node.referenced
        arguments = [a for a in node.get_arguments() if a is not None and self._words(a)]  # those left out have no text
        if name in ("threadgroup_barrier", "simdgroup_barrier"):
            head = self._span(node)[0] + self._words(node).index(name)
            self._point(head, "fl_")
            self._point(self.text.index("(", head) + 1, f"{self._site(node)}, ")
            return
        if name.startswith("atomic_") and arguments:
            how = _ATOMIC_HOW.get(name, READ | WRITE) | ATOMIC
            used = node.hash not in self._statements or "float" in arguments[0].type.spelling
            self.unordered |= used and how & ~ATOMIC == READ | WRITE
            self._wrap(arguments[0], "fl_on(", f", {self._site(node, self._named(arguments[0]))}, {how})", 2)
        elif name in _MATRIX:
            site = self._site(node)
            self._wrap(node, f"(fl_whole_simd({site}), ", ")", 2)
            if name in ("simdgroup_load", "simdgroup_store") and len(arguments) > 1:
                rest = "".join(f", {self._words(a)}" for a in arguments[2:])
                how = READ if name == "simdgroup_load" else WRITE
                self._wrap(arguments[1], "fl_rows(", f", {site}, {how}{rest})", 2)
        elif name in _ACROSS and len(arguments) > 1:
            self._wrap(arguments[1], "fl_lane_across(", f", {_ACROSS[name]}, {self._site(node)})", 2)
        elif name in _LANES and len(arguments) > 1:
            self._wrap(arguments[1], "fl_lane(", f", {_LANES[name]}, {self._site(node)})", 2)
        self._float_call(node, arguments)
        given = {a.hash for a in arguments}  # Cursor's == says no to the same node here
        for child in children:
            if child.hash not in given:
                self._visit(child, BOUNDS if child.kind == K.MEMBER_REF_EXPR else READ)
        known = callee is not None and callee.kind in (*FUNCTIONS, K.CONSTRUCTOR)
        parameters = list(callee.get_arguments()) if known else []
        for n, argument in enumerate(arguments):
            refers = n < len(parameters) and parameters[n].type.kind == TypeKind.LVALUEREFERENCE
            copied = callee is not None and (callee.kind == K.CONSTRUCTOR or name == "operator=")
            role = BOUNDS if not known or (refers and not copied) else READ
            if n == 0 and name.startswith("operator") and name.endswith("=") and name not in _COMPARE:
                role = WRITE if name == "operator=" else READ | WRITE
            self._visit(argument, role)


def _to_atomic(node: Cursor, what: Cursor) -> bool:
    """Whether a cast makes a pointer to an atomic of a pointer to what is none."""
    to, by = (n.type.get_canonical().get_pointee().get_canonical().spelling for n in (node, what))
    return bool(to and by) and "atomic<" in to and "atomic<" not in by and "void" not in by
