"""Control flow in an instrumented program: conditions that a barrier hangs on are agreed upon, loops can be stopped."""

from __future__ import annotations

import re

from clang.cindex import Cursor, TypeKind
from clang.cindex import CursorKind as K

from .edits import Edits
from .tree import called, operator

LOOPS = (K.FOR_STMT, K.WHILE_STMT, K.DO_STMT)
_BARRIER = "threadgroup_barrier"


class Flow(Edits):
    """The part of the instrumentation that deals with statements."""

    def _visit(self, node: Cursor, role: int = 1) -> None:
        raise NotImplementedError

    def _find_barriers(self, functions: list[Cursor]) -> None:
        """Which functions a threadgroup_barrier is called in, or in what they call; by name, as templates are not resolved."""
        calls: dict[str, set[str]] = {}
        for function in functions:
            found = {called(n) for n in function.walk_preorder() if n.kind == K.CALL_EXPR}
            calls[function.spelling] = calls.get(function.spelling, set()) | found
        self._barred = {_BARRIER}
        while more := {name for name, known in calls.items() if known & self._barred} - self._barred:
            self._barred |= more

    def _enter(self, body: Cursor) -> None:
        """A function's body begins."""
        self._constants = dict(re.findall(r"\b(?:constexpr|constant)\b[\w\s]*?\b(\w+)\s*=\s*(\d+)[uU]?\s*;", self.text))
        calls = [n for n in body.walk_preorder() if n.kind == K.CALL_EXPR]
        self._barriers = [n.extent.start.offset for n in calls if called(n) in self._barred]
        self._outer: list[Cursor] = []  # the loops and switches around
        self._blocks: list[Cursor] = [body]
        holders = (K.COMPOUND_STMT, K.IF_STMT, K.CASE_STMT, K.DEFAULT_STMT, *LOOPS)
        inside = [c for n in body.walk_preorder() if n.kind in holders for c in n.get_children()]
        self._statements = {c.hash for c in (*body.get_children(), *inside)}
        self._stopped = False  # whether there is a loop in it that may be left without its own doing

    def _leave(self, function: Cursor, body: Cursor) -> None:
        """A function's body ends. If only a `return` left a loop at its end, the compiler would take it that nothing else
        does, and throw the question whether to stop away."""
        kind = function.result_type.kind
        if self._stopped and kind != TypeKind.VOID:
            nothing = f"fl_nothing<{function.result_type.spelling}>()" if kind == TypeKind.LVALUEREFERENCE else "{}"
            self._point(self._span(body)[1] - 1, f" return {nothing}; ")

    def _statement(self, node: Cursor, children: list[Cursor]) -> bool:
        """Deal with a statement, or an operator, that decides what is run; False where it is none."""
        if node.kind == K.IF_STMT:
            self._if(node, children)
        elif node.kind in LOOPS:
            self._loop(node, children)
        elif node.kind == K.SWITCH_STMT:
            self._switch(node, children)
        elif node.kind == K.COMPOUND_STMT:
            self._blocks.append(node)
            for child in children:
                self._visit(child)
            self._blocks.pop()
        elif node.kind == K.CONDITIONAL_OPERATOR:
            self._operator(node, children)
            return False
        else:
            return False
        return True

    def _holds_barrier(self, node: Cursor) -> bool:
        return any(node.extent.start.offset <= at < node.extent.end.offset for at in self._barriers)

    def _if(self, node: Cursor, children: list[Cursor]) -> None:
        condition = children[0]
        constant = self._words(node)[2:].lstrip().startswith("constexpr")
        if condition.kind.is_expression() and not constant:
            self._visit(condition)
            if self._decides(node):
                self._wrap(condition, "fl_agree(", f", {self._site(condition)})", 3)
        for child in children[1:]:
            self._visit(child)

    def _operator(self, node: Cursor, children: list[Cursor]) -> None:
        """`a && f()`, `a || f()` and `a ? f() : g()`, where a barrier is called on the right."""
        if not any(self._holds_barrier(child) for child in children[1:]):
            return
        sign = operator(self, node) if node.kind == K.BINARY_OPERATOR else "?"
        site = self._site(children[0])
        if sign == "||":
            self._wrap(children[0], "!fl_agree(!(", f"), {site})", 3)
        elif sign in ("&&", "?"):
            self._wrap(children[0], "fl_agree(", f", {site})", 3)

    def _switch(self, node: Cursor, children: list[Cursor]) -> None:
        if self._holds_barrier(node) and children[0].kind.is_expression():
            self._wrap(children[0], "fl_alike(", f", {self._site(children[0])})", 3)
        self._outer.append(node)
        for child in children:
            self._visit(child)
        self._outer.pop()

    def _decides(self, node: Cursor) -> bool:
        """Whether it hangs on this `if` that a threadgroup_barrier is reached."""
        if not self._barriers:
            return False
        if self._holds_barrier(node):
            return True
        leaves = _leaves(node)
        loops = [outer for outer in self._outer if outer.kind in LOOPS]
        if K.RETURN_STMT in leaves and (any(map(self._holds_barrier, loops)) or self._barrier_behind(node)):
            return True
        if K.CONTINUE_STMT in leaves and self._holds_barrier(loops[-1]):
            return True
        return K.BREAK_STMT in leaves and self._holds_barrier(self._outer[-1])

    def _barrier_behind(self, node: Cursor) -> bool:
        """Whether one who goes on behind `node` may come to a barrier."""
        for block in reversed(self._blocks):
            if any(node.extent.end.offset < at < block.extent.end.offset for at in self._barriers):
                return True
            if [c.kind for c in block.get_children()][-1:] == [K.RETURN_STMT]:
                return False
        return False

    def _loop(self, node: Cursor, children: list[Cursor]) -> None:
        start, end = self._condition(node, children)
        self._outer.append(node)
        if not self._ends(node, children, self.text[start:end]):
            self._stoppable(node, children[-1], start, end)
        for child in children:
            self._visit(child)
        self._outer.pop()

    def _stoppable(self, node: Cursor, body: Cursor, start: int, end: int) -> None:
        self._stopped = True
        site = self._site((start, end))
        goes_on = f"fl_goes_on({site})"
        if re.match(r"\w[\w ]*[\s*&]\w+\s*=[^=]", self.text[start:end]):  # `while (uint z = k)`: nothing may stand before it
            goes_on = f"fl_agree({goes_on}, {site})" if self._holds_barrier(node) else goes_on
            self._wrap(body, f"if (!{goes_on}) break; else ", "", 3)
        elif start == end:
            self._point(start, f" {goes_on}")
        elif self._holds_barrier(node):
            self._wrap((start, end), f"fl_agree({goes_on} && (", f"), {site})", 3)
        else:
            self._wrap((start, end), f"{goes_on} && (", ")", 3)

    def _ends(self, node: Cursor, children: list[Cursor], condition: str) -> bool:
        """Whether it is plain that a loop ends soon: `for (uint k = 0; k < 4; k++)`. Such loops are unrolled, and stay so."""
        counted = re.fullmatch(r"(\w+)\s*<=?\s*(\w+)", condition.strip())
        if node.kind != K.FOR_STMT or not counted or self._holds_barrier(node):
            return False
        name, limit = counted.groups()
        steps = re.compile(rf"\+\+\s*{name}|{name}\s*(?:\+\+|\+=\s*\d+)")
        if len(children) < 3 or not steps.fullmatch(self._words(children[-2])):
            return False
        changed = rf"\b{name}\s*(?:[-+*/%&|^]|<<|>>)?=(?!=)|\b{name}\s*(?:--|\+\+)|(?:--|\+\+)\s*{name}\b"
        changed += rf"|[(,]\s*{name}\s*[,)]|&\s*{name}\b"  # by reference, perhaps
        if re.search(changed, self._words(children[-1])):
            return False  # the body has its own way with the counter
        if not re.match(r"(?:const )?(?:uint|int|size_t|ushort|short)\b", self._words(children[0])):
            return False  # a counter of few bits may wrap before it is there
        value = str(self._constants.get(limit, limit)).rstrip("uU")
        return value.isdigit() and int(value) <= 1024

    def _condition(self, node: Cursor, children: list[Cursor]) -> tuple[int, int]:
        """Where a loop's condition stands; an empty range where it has none."""
        if node.kind != K.FOR_STMT:
            return self._span(children[0] if node.kind == K.WHILE_STMT else children[-1])
        text = re.sub(r"'(?:\\.|[^'\\])+'", lambda m: "0" * len(m[0]), self.text)  # ';' is no semicolon
        at = text.index("(", self._span(node)[0]) + 1
        marks: list[int] = []
        depth = 0
        while len(marks) < 2:  # the two semicolons
            c = text[at]
            depth += (c in "([{") - (c in ")]}")
            if c == ";" and not depth:
                marks.append(at)
            at += 1
        words = self.text[marks[0] + 1 : marks[1]]
        left = marks[0] + 1 + len(words) - len(words.lstrip())
        return (left, left + len(words.strip())) if words.strip() else (marks[1], marks[1])


def _leaves(node: Cursor) -> set[K]:
    """How one may leave from within a statement what lies around it: by return, break or continue."""
    if node.kind in (K.RETURN_STMT, K.BREAK_STMT, K.CONTINUE_STMT):
        return {node.kind}
    found = {kind for child in node.get_children() for kind in _leaves(child)}
    if node.kind in LOOPS:
        return found & {K.RETURN_STMT}
    return found - {K.BREAK_STMT} if node.kind == K.SWITCH_STMT else found
