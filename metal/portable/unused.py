"""Template kernels that nobody instantiates: read as Apple's compiler reads them, and never compiled (Lowered.templates)."""

from __future__ import annotations

from .kernels import Function, Kernels
from .lexer import Cursor
from .lowered import MAX_THREADS, KernelInfo
from .parameters import UnsupportedError
from .templates import Arguments, parameter


class Unused(Kernels):
    """The part of the translation that deals with them."""

    used: frozenset[str] | None = None  # templates that are instantiated, once somebody asks

    def _unused(self, name: str, f: Function) -> None:
        """Put a template kernel that nobody instantiates, as a template of a function."""
        if self.used is None:
            self.used = self._instantiated()
        tokens, c = whole = self.tokens, self.c
        names = {parameter(c, a, b)[0] for a, b in f.template or ()}
        if name in self.used or names & _attribute_words(c, *f.params):
            return  # an index or a position's type that nobody has chosen yet
        start, last = tokens[f.first].start, tokens[min(f.last, len(tokens) - 1)].start
        head = f"template <{', '.join(self._words(a, b) for a, b in f.template or ())}> void fl_kernel_{name}("
        host, before = f"template {name}", (self.before, self.deduced)
        try:
            with self.out.kernel(host):
                self._write(f, KernelInfo(host, "", MAX_THREADS), Arguments(), start, last, head)
        except UnsupportedError as problem:
            self.out.refuse(host, problem)
        else:
            self.out.unused.append(host)
        (self.tokens, self.c), (self.before, self.deduced) = whole, before

    def _instantiated(self) -> frozenset[str]:
        """The templates that the program instantiates explicitly, and some other names."""
        c, found = self.c, set[str]()
        for i, token in enumerate(self.tokens):
            if token.text == "template" and token.kind == "name" and c.text(c.after(i)) != "<":
                while i < len(self.tokens) and c.text(i) not in (";", "{"):
                    found |= {c.text(i)} if c.text(c.after(i)) == "<" else set()
                    i = c.after(i)
        return frozenset(found)


def _attribute_words(c: Cursor, a: int, b: int) -> set[str]:
    """The words in attributes, and those of parameters that are neither pointers nor references."""
    found = set[str]()
    for first, last in c.split(a, b):
        words = [c.text(i) for i in range(first, last)]
        found |= set(words if not {"*", "&"} & set(words) else words[words.index("[[") :] if "[[" in words else ())
    return found
