"""No spec computes what it expects with the code under test: a rule over the specs' own text, and proof that it can fail.

In a spec, what comes from `gpu`, `gpus` or a device made there is the kernel's; all else is known without it. Two results of
the kernel may be compared (causality, one dispatch against many) only where one of them, or what it was made of, is compared
with what is not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPECS = [spec for p in sorted((ROOT / "milestones").glob("m*/*.metal")) if (spec := p.with_name(f"test_{p.stem}.py")).exists()]
DEVICE = {"gpu", "gpus", "spec_gpu", "SpecGpu"}
COMPARE = {"assert_close", "assert_same"}


def names(node: ast.AST) -> set[str]:
    return {getattr(n, "id", None) or getattr(n, "attr", None) or "" for n in ast.walk(node)} - {""}


class Test:
    """One test of a spec: which of its names hold what the kernel computed, and what it compares with what."""

    __test__ = False  # pytest's, not one of its own

    def __init__(self, node: ast.FunctionDef):
        self.theirs = set(DEVICE)
        self._made_of: dict[str, set[str]] = {}
        self._synced = min((n.lineno for n in ast.walk(node) if isinstance(n, ast.Attribute) and n.attr == "sync"), default=0)
        for _ in range(3):  # in a loop, a name may be used above the line where it is bound
            for statement in ast.walk(node):
                self._bind(statement)
        self.compared = list(self._compared(node))

    def is_theirs(self, node: ast.AST) -> bool:
        before = ast.unparse(node).endswith(".numpy().copy()") and getattr(node, "lineno", 0) < self._synced
        return not before and bool(names(node) & self.theirs)  # `before`: a buffer as it was before any dispatch

    def _bind(self, node: ast.AST) -> None:
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, (ast.For, ast.comprehension)):
            pairs = [(node.target, node.iter)]
        while pairs:
            target, value = pairs.pop()
            parts = list(_parts(value))
            if isinstance(target, ast.Tuple) and len(target.elts) == len(parts):
                pairs += zip(target.elts, parts, strict=True)
            elif self.is_theirs(value):
                bound = {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
                self.theirs |= bound
                for name in bound:
                    self._made_of[name] = self._made_of.get(name, set()) | self._outputs(value)

    def _outputs(self, node: ast.AST) -> set[str]:
        """The names of the kernel's results in it, and of what those were computed from."""
        found = names(node) & self.theirs - DEVICE
        return found.union(*(self._made_of.get(name, set()) for name in found))

    def _compared(self, node: ast.AST) -> Iterator[tuple[int, ast.expr, ast.expr]]:
        """Line and two sides of every comparison for equality."""
        for n in ast.walk(node):
            if isinstance(n, ast.Call) and names(n.func) & COMPARE:
                yield n.lineno, n.args[0], n.args[1]
            elif isinstance(n, ast.Compare):
                sides = [n.left, *n.comparators]
                yield from ((n.lineno, *sides[i : i + 2]) for i, by in enumerate(n.ops) if isinstance(by, ast.Eq))

    def circular(self) -> Iterator[int]:
        """The lines that compare the kernel with itself, where no other line says that either side is right."""
        of = lambda side: self._outputs(side) | {ast.unparse(side)}  # noqa: E731
        both = [self.is_theirs(left) and self.is_theirs(right) for _, left, right in self.compared]
        proved = {x for (_, a, b), own in zip(self.compared, both, strict=True) if not own for x in of(a) | of(b)}
        yield from (line for (line, a, b), own in zip(self.compared, both, strict=True) if own and not (of(a) | of(b)) & proved)


def _parts(value: ast.expr) -> list[ast.expr]:
    """What `a, b = value` or `for a, b in value` binds one by one, where that is plain."""
    if isinstance(value, ast.Tuple) and not any(isinstance(e, ast.Starred) for e in value.elts):
        return value.elts
    if isinstance(value, ast.GeneratorExp):  # x, y = (f(v) for v in (a, b))
        return _parts(value.generators[0].iter)
    return value.args if isinstance(value, ast.Call) and names(value.func) == {"zip"} else []


def problems(text: str) -> list[str]:
    """What in a spec's text breaks the rule."""
    found = []
    for function in (n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)):
        if function.name == "expected" and (used := names(function) & (DEVICE | {"run"})):
            found.append(f"{function.lineno}: expected() uses {', '.join(sorted(used))}")
        if function.name.startswith(("test_", "check")):
            lines = Test(function).circular()
            found += [
                f"{line}: {function.name} compares the kernel with itself, and nothing says that it is right" for line in lines
            ]
    return found


@pytest.mark.parametrize("path", SPECS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_spec_knows_what_it_expects_without_the_kernel(path):
    assert not (found := problems(path.read_text(encoding="utf-8"))), "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "def test_a(gpu):\n    assert_same(run(gpu, x), run(gpu, x))",
        "def test_a(gpus):\n    want = run(gpus(32), x)\n    assert_close(run(gpus(64), x), want, 1e-6)",
        "def test_a(gpu):\n    got, want = run(gpu, x), Softmax(gpu)(x).numpy()\n    assert_same(got, want)",
        "def test_a(gpu):\n    for got, want in zip(run(gpu, x), op(gpu)(x)):\n        assert got == want",
        "def check():\n    d = health.spec_gpu(64)\n    y = run(d, x)\n    assert y.tolist() == (run(d, x) * 1).tolist()",
        "def test_a(gpu):\n    y = op(gpu)(x)\n    gpu.sync()\n    z = y.numpy().copy()\n    assert_same(run(gpu, x), z)",
        "def test_a(gpu):\n    p, id_ = run(gpu, x)\n    w = keep(p)\n    assert id_ == draw(w)",
        "def expected(x):\n    return run(make(), x)",
        "def expected(x):\n    return Softmax(spec_gpu(64))(x).numpy(), 1e-6",
    ],
)
def test_the_rule_finds_one_that_asks_the_kernel(text):
    assert problems(text)


@pytest.mark.parametrize(
    "text",
    [
        "def test_a(gpu):\n    assert_close(run(gpu, x), *expected(x))",
        "def test_a(gpu):\n    y = run(gpu, x)\n    assert_same(run(gpu, x[::-1]), y[::-1])\n    assert_close(y, *expected(x))",
        "def test_a(gpu):\n    room = gpu.empty((4,))\n    old = room.numpy().copy()\n    op(gpu)(room)\n    gpu.sync()\n"
        "    assert_same(room.numpy()[2:], old[2:])",
        "def test_a(gpu):\n    got, want = (abs(v) for v in (run(gpu, x), x))\n    assert_same(got, want)",
        "def test_a(gpu):\n    p, y = run(gpu, x)\n    assert_close(p, *expected(x))\n    w = keep(p)\n    assert y == draw(w)",
    ],
)
def test_the_rule_leaves_properties_alone(text):
    assert not problems(text)
