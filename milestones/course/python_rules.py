"""What a Python exercise may contain to be graded: plain code, nothing that reaches for the tests which judge it.

It is read, not run. This is a fence against verdicts that are faked in a line or two; it is no sandbox.
"""

from __future__ import annotations

import ast
import re
from types import ModuleType

import numpy

from metal.source import ROOT

STANDARD = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "collections.abc",
    "copy",
    "dataclasses",
    "enum",
    "functools",
    "heapq",
}
STANDARD |= {"itertools", "math", "numpy", "typing"}
NAMES = {"exec", "eval", "compile", "open", "globals", "locals", "vars", "getattr", "setattr", "delattr", "breakpoint", "input"}
NAMES |= {"exit", "quit", "help"}
ATTRIBUTES = {"gi_frame", "cr_frame", "ag_frame", "tb_frame", "f_back", "f_globals", "f_locals", "f_builtins", "get_type_hints"}
ATTRIBUTES |= {"ForwardRef", "tofile", "dump", "ctypes"}
# what makes a class, or sets attributes, from words and values that a reader does not see
ATTRIBUTES |= {"make_dataclass", "update_wrapper", "wraps", "ABCMeta", "EnumMeta", "EnumType"}
FILES = {"fromfile", "memmap", "load", "save", "savez", "savez_compressed", "loadtxt", "savetxt", "genfromtxt", "fromregex"}
METHODS = {"init", "len", "iter", "next", "enter", "exit", "call", "repr", "str", "post_init", "contains", "getitem", "bool"}
_METHODS = {f"__{name}__" for name in METHODS}  # not __eq__: what equals everything passes every test


def problems(text: str, shipped: str) -> list[str]:
    """What is wrong with a file, each with its line. `shipped` is ours: what that imports may be imported.

    Text that is no Python has no problem here: its spec will say so.
    """
    try:
        tree, ours = ast.parse(text), ast.parse(shipped)
    except (SyntaxError, ValueError):
        return []
    froms = (node for node in ast.walk(ours) if isinstance(node, ast.ImportFrom))
    reader = _Reader(tree, {(node.module, alias.name) for node in froms for alias in node.names})
    reader.visit(tree)
    return reader.found


class _Reader(ast.NodeVisitor):
    def __init__(self, tree: ast.Module, free: set[tuple[str | None, str]]):
        self.found: list[str] = []
        self._free, self._modules = free, {module for module, _ in free}
        self._asked = {
            node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords
        }
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = [(node, alias) for node in imports for alias in node.names]
        self._imported = {(alias.asname or alias.name).partition(".")[0] for _, alias in names}
        self._numpy = {a.asname or a.name for node, a in names if isinstance(node, ast.Import) and a.name == "numpy"}

    def _no(self, node: ast.AST, what: str) -> None:
        self.found.append(f"line {getattr(node, 'lineno', 1)}: {what} is not allowed in a Python exercise that is graded")

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name not in STANDARD:
                self._no(node, f"import {alias.name}")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        for alias in node.names:
            if (module, alias.name) in self._free:
                continue
            plain = module in STANDARD and alias.name not in ATTRIBUTES | {"*"}
            plain = plain and (module != "numpy" or _plain(numpy, alias.name))
            ours = module in self._modules and alias.name in _defined(module)
            if node.level or not (plain or ours):
                self._no(node, f"from {'.' * node.level}{module} import {alias.name}")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in NAMES or (node.id.startswith("__") and node.id != "__name__"):
            self._no(node, node.id)
        elif node.id == "type" and node not in self._asked:
            self._no(node, "type() but of one thing")
        elif node.id in self._numpy:
            self._no(node, f"{node.id} by itself, without a dot and a name,")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in ATTRIBUTES or (node.attr.startswith("__") and node.attr not in _METHODS):
            self._no(node, f".{node.attr}")
        match node.value:
            case ast.Name(id=name) if name in self._imported and not isinstance(node.ctx, ast.Load):
                self._no(node, f"a change of {name}.{node.attr}")
            case ast.Name(id=name) if name in self._numpy:
                if not (_plain(numpy, node.attr) or node.attr in ("linalg", "random")):
                    self._no(node, f"{name}.{node.attr}")
                return  # so that visit_Name does not see it
            case ast.Attribute(value=ast.Name(id=name), attr=part) if name in self._numpy and part in ("linalg", "random"):
                if not _plain(getattr(numpy, part), node.attr):
                    self._no(node, f"{name}.{part}.{node.attr}")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        word = node.value if isinstance(node.value, str) else ""
        if re.fullmatch(r"__\w+__", word) and word not in {*_METHODS, "__main__"}:
            self._no(node, repr(word))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name.startswith("__") and node.name not in _METHODS:
            self._no(node, f"a method {node.name}")
        self.generic_visit(node)

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        if any(name in ATTRIBUTES or name.startswith("__") for name in node.kwd_attrs):
            self._no(node, "a pattern that looks at such an attribute")
        self.generic_visit(node)


def _plain(module: ModuleType, name: str) -> bool:
    """Whether it is a function, a type or a value of NumPy that touches no file."""
    found = getattr(module, name, None)
    return found is not None and not isinstance(found, ModuleType) and not name.startswith("_") and name not in FILES


def _defined(module: str) -> set[str]:
    """What a module of metal/ or milestones/ defines itself: not what it imports; nothing of the course's own."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if module.split(".")[0] not in ("metal", "milestones") or module.startswith("milestones.course") or not path.is_file():
        return set()
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names
