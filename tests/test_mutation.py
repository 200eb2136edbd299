"""Generic mutants: what is changed and what never is, their names, and the list of those that are equivalent."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from metal import source
from milestones.course.spec_process import SpecProcess
from tests.strength import trial
from tests.strength.judge import Verdict, specs_of
from tests.strength.mutate import Generic, mutants_of
from tests.strength.survivors import FILES, Kept, all_mutants, equivalents, sample

HEAD = """// A comment with a + b and x[0]
#include <metal_stdlib>
#pragma METAL fp contract(off)
using namespace metal;

struct Args {
    uint n;  // 1 … 5
    uint m;
    float scale;
};
"""
TAIL = """
template [[host_name("k_f")]] kernel void k<float>(device float *, constant Args &, uint, uint);
"""


def body(text: str, head: str = HEAD) -> list[Generic]:
    """The mutants of a template kernel with this body, which stands on a line of its own."""
    source = (
        f"{head}\ntemplate <typename T>\nkernel void k(device T *y [[buffer(0)]], constant Args &args [[buffer(1)]],\n"
        f"    uint lane [[thread_index_in_simdgroup]], uint group [[threadgroup_position_in_grid]]) {{\n{text}\n}}\n{TAIL}"
    )
    found = mutants_of("m9/k.metal", source)
    assert all(m.text(source) != source for m in found)
    return found


def said(text: str, kind: str | None = None) -> set[str]:
    """The mutants of a body as "old → new" (of one kind)."""
    return {m.place.partition(f"{m.change.kind}: ")[2] for m in body(text) if kind in (None, m.change.kind)}


def test_only_code_is_changed():
    """Not comments, directives, attributes, parameters, declarations' types, nor instantiations."""
    assert body("    ;  // a + 1") == []
    assert body("    device const float *in;") == []
    assert body("    threadgroup float part[4];", HEAD) != []  # a size may be wrong


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("x = a + b * c;", "arithmetic", {"+ → -", "* → +"}),
        ("x = *p - -1;", "arithmetic", {"- → +"}),
        ("x = *(device const uint *)p;", "arithmetic", set()),
        ("device T *in = y;", "arithmetic", set()),
        ("x = a >> 2 & ~b;", "bits", {">> → <<", "& → |"}),
        ("x = a >> 2 & ~b;", "negation", {"~ → nothing"}),
        ("x = as_type<uint>(f) < 3u;", "comparison", {"< → <="}),
        ("x = a && !b || c;", "logic", {"&& → ||", "|| → &&"}),
        ("x += 1;", "assignment", {"+= → -=", "+= → ="}),
        ("i++;", "assignment", {"++ → --"}),
        ("x = 0;", "constant", {"0 → 1"}),
        ("x = 1u;", "constant", {"1u → 0u"}),
        ("x = 32;", "constant", {"32 → 31", "32 → 33"}),
        ("x = 0x00FFu;", "constant", {"0x00FFu → 0x00FEu", "0x00FFu → 0x0100u"}),
        ("x = 0xFFFFFFFFu;", "constant", {"0xFFFFFFFFu → 0xFFFFFFFEu"}),
        ("x = 0.0f;", "constant", {"0.0f → 1.0f"}),
        ("x = 1.5e-3f;", "constant", {"1.5e-3f → 0.003f"}),
        ("x = y[i];", "index", {"i → i + 1"}),
        ("x = y[i < 2 ? i : 0];", "index", {"i < 2 ? i : 0 → (i < 2 ? i : 0) + 1"}),
        ("float a[4], b[5]; a[0] = 1;", "index", {"0 → 0 + 1"}),
        ("x = min(a, b);", "call", {"min → max"}),
        ("x = args.min;", "call", set()),
        ("x = lane;", "position", {"lane → group"}),
        ("x = args.n;", "argument", {"n → m"}),
        ("x = args.scale;", "argument", set()),
        ("if (a) x = 1; else { x = 2; }", "condition", {"a → true", "a → false"}),
        ("x = a < 1 ? b : c;", "condition", {"a < 1 → true", "a < 1 → false"}),
        ("for (uint i = 0; i < 4; i++) f(i);", "condition", {"i < 4 → false"}),
        ("while (a) break;", "statement", {"break; → ;"}),
        ("for (;;) { if (a) continue; f(); }", "statement", {"continue; → ;", "f(); → ;"}),
        ("const uint a = 1; b = a; return;", "statement", {"b = a; → ;"}),
        (
            "threadgroup_barrier(mem_flags::mem_threadgroup);",
            "barrier",
            {"threadgroup_barrier(mem_flags::mem_threadgroup); → ;"},
        ),
    ],
)
def test_what_is_changed(text, kind, expected):
    assert said(f"    {text}", kind) == expected


def test_a_member_function_that_changes_no_member_is_changed_like_any_other():
    """Its body stands behind `const thread`, not behind a bracket."""
    members = "struct Pair {\n    uint a;\n    uint sum(uint b) const thread { return a + b; }\n};\n"
    assert [m.place for m in mutants_of("m9/k.metal", members)] == ["m9/k.metal:3:46 arithmetic: + → -"]


def test_an_unknown_statement_is_refused_rather_than_left_out():
    with pytest.raises(ValueError, match="switch"):
        body("    switch (a) { case 0: break; }")


def test_a_name_outlives_changes_of_other_lines_and_of_comments():
    before = {m.id for m in body("    x = 1;\n    y[0] = x + 2;")}
    after = {m.id for m in body("    x = 1;  // why\n    f(x);\n        y[0] = x + 2;")}
    assert before < after


def test_lines_that_are_alike_are_numbered():
    found = [m.id for m in body("    x++;\n    x++;")]
    assert "k.metal | x++; | 2 assignment --" in found and "k.metal | x++; #2 | 2 assignment --" in found


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_kernel_file_has_mutants_with_names_of_their_own(path):
    source = path.read_text(encoding="utf-8")
    found = mutants_of(f"{path.parent.name}/{path.name}", source)
    assert found and len({m.text(source) for m in found}) > 0.95 * len(found)
    code = "\n".join(line.partition("//")[0] for line in source.splitlines())
    assert all(m.change.old in code for m in found if "\n" not in m.change.old)


def test_headers_are_judged_by_the_specs_of_all_that_include_them():
    """Its own milestone's first, which are quicker."""
    assert specs_of("m3/philox.h")[:2] == ("m3/test_philox.py", "m3/test_sample.py")
    assert {spec for spec in specs_of("m3/philox.h")[2:] if spec.startswith("m3/")} == set()
    assert {"m6/test_embed_rows.py", "m6/test_embed_token.py"} < set(specs_of("m5/packed.h"))
    assert specs_of("m2/add.metal") == ("m2/test_add.py",)


def test_a_header_is_tried_in_kernels_of_other_milestones(monkeypatch):
    """Their specs take files of their own milestone from a workbook: the header must stand beside the kernel."""

    class Process:
        def run(self, arguments, *, workbook, seconds):
            monkeypatch.setenv("FIRSTLIGHT_WORKBOOK", str(workbook))
            for milestone, kernel in (("m5", "prepare"), ("m6", "embed_rows")):
                source.use(lambda of, file, own=milestone: of == own)
                assert "// changed" in source.read(milestone, kernel)
            return {"status": 0}

    try:
        assert trial.trial(Process(), "m5/packed.h", "// changed", [], 1) == {"status": 0}
    finally:
        source.use(None)


def test_every_listed_equivalent_is_a_mutant_and_has_a_reason():
    """A kernel that changes takes its entries along, or loses them."""
    listed = equivalents()
    assert not set(listed) - {m.id for m in all_mutants()}, "listed, but no mutant any more"
    assert all(len(reason.split()) >= 5 for reason in listed.values())


def test_a_sample_is_the_same_for_the_same_seed():
    assert sample(5, 1, all_mutants()) == sample(5, 1, all_mutants()) != sample(5, 2, all_mutants())


def test_kept_results_are_found_again_while_kernel_and_specs_are_the_same(tmp_path):
    mutant = all_mutants("m2", "add")[0]
    Kept(tmp_path / "kept").add(mutant, Verdict("killed", "a test"))
    assert Kept(tmp_path / "kept").get(mutant) == Verdict("killed", "a test")
    text = (tmp_path / "kept").read_text()
    (tmp_path / "kept").write_text(text.replace('"digest": "', '"digest": "0'))
    assert Kept(tmp_path / "kept").get(mutant) is None


def test_trials_compile_into_a_folder_of_their_own(tmp_path, monkeypatch):
    """Hundreds of wrong kernels would push what the user compiled out of the cache. The model file is there all the same."""
    monkeypatch.setenv("FIRSTLIGHT_CACHE", str(tmp_path))
    for file in ("models/model.gguf", "programs/ab/abc"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(file)
    started = []
    monkeypatch.setattr(trial, "SpecProcess", lambda arguments, cache: started.append(cache))
    for _ in range(2):
        trial.spec_process([])
    own = started[0]
    assert own == started[1] != tmp_path and (own / "models/model.gguf").read_text() == "models/model.gguf"
    assert (own / "programs/ab/abc").read_text() == "programs/ab/abc", "what is compiled already is used"
    (own / "programs/ab/abd").write_text("a mutant's")
    assert [p.name for p in (tmp_path / "programs/ab").iterdir()] == ["abc"]
    (tmp_path / "strength/models").unlink()
    (tmp_path / "strength/models").symlink_to(tmp_path / "gone")  # the cache was moved
    trial.spec_process([])
    assert (own / "models/model.gguf").is_file()
    with SpecProcess(["--version"], cache=own) as process:
        environment = Path(f"/proc/{process._process.pid}/environ")
        for _ in range(1000):  # a process that has only just begun has none yet
            if not environment.exists() or environment.read_bytes():
                break
            time.sleep(0.001)
        assert not environment.exists() or f"FIRSTLIGHT_CACHE={own}\0".encode() in environment.read_bytes()


def test_every_trial_runs_in_such_a_process():
    for path in Path(trial.__file__).parent.glob("*.py"):
        assert path.name == "trial.py" or not re.search(r"\bSpecProcess\(", path.read_text()), path
