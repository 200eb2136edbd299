"""The house's own rules: arrows run one way, references explain themselves truly, fixtures are what their manifests say."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

from reference.golden import load

ROOT = Path(__file__).parent.parent
REFERENCES = sorted(p.stem for p in (ROOT / "reference").glob("*.py") if p.stem not in ("__init__", "golden", "tolerance"))
SOURCES = sorted(p for room in ("metal", "reference", "milestones") for p in (ROOT / room).rglob("*.py"))
KERNELS = sorted((ROOT / "milestones").glob("m*/*.metal"))
GOLDENS = sorted((ROOT / "milestones").glob("m*/golden/*.npz"))


def imports(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def is_spec(path: Path) -> bool:
    return path.name.startswith(("test_", "bench_")) or path.parent.name == "golden"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_follow_the_arrows(path):
    """metal and reference import nothing of ours; no milestone imports a later one; only specs import references."""
    room, ours = (
        path.relative_to(ROOT).parts[0],
        {i for i in imports(path) if i.split(".")[0] in ("metal", "reference", "milestones")},
    )
    foreign = {i for i in ours if i.split(".")[0] != room}
    if room in ("metal", "reference"):
        assert not foreign
    elif not is_spec(path):
        assert not {i for i in foreign if i.startswith("reference")}, "the engine must not need references (or torch)"
        others = path.parts[-2:] == ("speed", "others.py")  # engines to be measured beside ours, where they are installed
        assert others or not imports(path) & {"torch", "transformers", "gguf", "tokenizers", "hypothesis"}
    number = re.search(r"milestones/m(\d)/", path.as_posix())
    if number and not is_spec(path):  # a spec may read the model file through m1
        later = {i for i in ours if (m := re.match(r"milestones\.m(\d)", i)) and int(m.group(1)) > int(number.group(1))}
        assert not later, f"an earlier milestone imports a later one: {later}"


def test_nothing_outside_metal_asks_which_device_it_is():
    for path in SOURCES:
        text = path.read_text()
        if path.relative_to(ROOT).parts[0] != "metal" and not is_spec(path):
            assert "sys.platform" not in text and "metal.portable" not in text and "metalcompute" not in text, path.name


@pytest.mark.parametrize("name", REFERENCES)
def test_a_references_worked_example_is_true(name):
    module = importlib.import_module(f"reference.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0, f"reference/{name}.py has no worked example"
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "reference" / "mistakes").glob("[!_]*.py")))
def test_known_mistakes_stand_beside_what_is_right(name):
    """A mistake that makes no difference on some input must not be named there: the right result tells."""
    module = importlib.import_module(f"reference.mistakes.{name}")
    assert callable(module.RIGHT) and module.MISTAKES and all(callable(mistake) for mistake in module.MISTAKES.values())


@pytest.mark.parametrize("path", KERNELS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_kernel_has_its_reference_host_spec_and_contract(path):
    """One op, one name, everywhere; a kernel file opens with its contract and the command that tests it."""
    op, text = path.stem, path.read_text()
    for other in (path.with_suffix(".py"), path.with_name(f"test_{op}.py"), ROOT / "reference" / f"{op}.py"):
        assert other.exists(), f"{op} has no {other.relative_to(ROOT)}"
    head = text[: text.index("#include")]
    assert "buffer 0" in head and f"pytest milestones/{path.parent.name}/test_{op}.py" in head


@pytest.mark.parametrize("path", GOLDENS, ids=lambda p: f"{p.parent.parent.name}/{p.stem}")
def test_a_golden_fixture_is_what_its_manifest_says(path):
    assert load(path.parent, path.stem)


def test_a_golden_fixture_changed_by_hand_is_refused(tmp_path):
    path = GOLDENS[0]
    (tmp_path / "manifest.json").write_bytes((path.parent / "manifest.json").read_bytes())
    (tmp_path / path.name).write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="make it again: python -m"):
        load(tmp_path, path.stem)
