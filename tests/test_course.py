"""The course's commands: what a learner types from a first README to the model on their own kernels."""

from __future__ import annotations

import ast
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import metal
from metal import source
from metal.source import SOLUTION
from milestones.course import exercises, results, reward, workbook
from tests.command import firstlight, refused

MILESTONES = exercises.milestones()
OPS = [op for milestone in MILESTONES for op in exercises.ops(milestone)]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty workbook."""
    monkeypatch.setenv("FIRSTLIGHT_WORKBOOK", str(tmp_path / "workbook"))
    return tmp_path / "workbook"


def said(*arguments: str) -> str:
    done = firstlight(*arguments)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def proved(op: exercises.Op) -> None:
    """As if the whole spec had passed for the file as it is."""
    files = workbook.fingerprint_of(op, workbook.fingerprint(op.milestone))
    results.save({f"{op.milestone}/{op.name}": results.Verdict(7, 0, 1, files)})


def test_every_milestone_that_is_there_has_exercises():
    assert MILESTONES == ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"]


@pytest.mark.parametrize("op", OPS, ids=lambda op: f"{op.milestone}/{op.name}")
def test_an_exercise_is_whole(op):
    """Its stubs are there and differ from the shipped files, its spec is there, its three hints say more and more."""
    for name in op.files:
        stub, shipped = exercises.folder(op.milestone) / name, SOLUTION / op.milestone / name
        assert stub.read_text() != shipped.read_text()
    assert "our task: " in (exercises.folder(op.milestone) / op.files[0]).read_text()
    assert op.spec_path.is_file() and op.task and "\n" not in op.task
    assert len(op.hints) == 3 and all(len(hint) > 30 for hint in op.hints) and len(set(op.hints)) == 3


@pytest.mark.parametrize("milestone", MILESTONES)
def test_every_kernel_of_a_milestone_is_an_exercise_and_every_stub_is_listed(milestone):
    listed = {name for op in exercises.ops(milestone) for name in op.files}
    kernels = {path.name for path in (SOLUTION / milestone).glob("*.metal")}
    assert kernels <= listed, "every kernel is an exercise"
    stubs = {p.name for p in exercises.folder(milestone).iterdir() if p.suffix in (".metal", ".h", ".py")}
    assert listed == stubs


@pytest.mark.parametrize("op", OPS, ids=lambda op: f"{op.milestone}/{op.name}")
def test_a_stub_holds_the_shipped_kernels_contract_and_signature(op):
    """Buffer after buffer the same names and types: else the learner writes to a contract that the host does not keep."""
    for name in op.files:
        if name.endswith(".metal"):
            stub, shipped = exercises.folder(op.milestone) / name, SOLUTION / op.milestone / name
            assert _buffers(stub) == _buffers(shipped)
            assert {op.command, op.first_failure} & set(_commands(stub)), "the header ends with the command that tests it"


def _commands(path: Path) -> list[str]:
    return [line.removeprefix("//").strip() for line in path.read_text().splitlines()]


def _buffers(path: Path) -> dict[str, list]:
    from metal import source
    from metal.portable.translate import lower

    text = source._expand(
        path, f"{path.parent.parent.name if path.parent.name == 'exercise' else path.parent.name}/x", None, ()
    )
    kernels = lower(text).kernels
    return {name: [(b.index, b.name, b.writable) for b in info.buffers] for name, info in kernels.items()}


def test_start_copies_the_stubs_and_never_writes_over_work(home):
    out = said("start", "m2")
    assert "milestones/m2/README.md" in out and (home / "m2" / "add.metal").is_file()
    (home / "m2" / "add.metal").write_text("// my work\n")
    (home / "m2" / "rope.metal").unlink()
    again = said("start", "m2")
    assert "rope.metal" in again and "add.metal\n" not in again.splitlines()[0]
    assert (home / "m2" / "add.metal").read_text() == "// my work\n"


def test_reset_keeps_a_backup(home):
    said("start", "m2")
    (home / "m2" / "add.metal").write_text("// my work\n")
    assert "your files are kept in" in said("start", "m2", "--reset")
    assert "our task" in (home / "m2" / "add.metal").read_text()
    said("start", "m2", "--reset")  # within the same second
    backups = [path / "add.metal" for path in home.glob("m2.backup-*")]
    assert len(backups) == 2 and "// my work\n" in [path.read_text() for path in backups]


@pytest.mark.parametrize(
    "words", [("start", "m9"), ("start", "../m2"), ("next", "m9"), ("hint", "m2", "nope"), ("watch", "m9"), ("watch", "m2")]
)
def test_what_there_is_not_is_named_in_one_line(home, words):
    refused(firstlight(*words), "m9" if "m9" in words else "m2")
    assert not home.exists()


def test_next_is_one_line_from_the_first_start_to_the_reward(home):
    """Every answer names one thing to do, and doing it changes the answer."""
    assert said("next").startswith("firstlight start m1")
    assert said("next", "m6") == "firstlight start m6\n"
    for milestone in MILESTONES:
        workbook.start(milestone)
    first = exercises.ops("m0")[0]
    assert f"then: {first.first_failure}" in said("next") and said("next").count("\n") == 1
    assert exercises.ops("m6")[0].first_failure in said("next", "m6")
    path = workbook.path_of(first)
    path.write_text(path.read_text() + "// begun\n")
    assert said("next").startswith(f"test {path}")
    files = workbook.fingerprint_of(first, workbook.fingerprint("m0"))
    results.save({f"m0/{first.name}": results.Verdict(3, 2, 0, files, f"milestones/m0/{first.spec}::test_x[width32]")})
    assert said("next") == f"mend {path}, then: pytest 'milestones/m0/{first.spec}::test_x[width32]'\n"
    for op in OPS:
        for name in op.files:
            shutil.copy(SOLUTION / op.milestone / name, workbook.path_of(op, name))
    for op in OPS:  # a header of the milestone counts for each of them
        proved(op)
    assert said("next") == said("next", "m6") == 'all is proved: firstlight generate --workbook "The cat sat on the"\n'


def test_progress_counts_what_passed_for_the_files_as_they_are(home):
    """A verdict is about a text: a file that changed since counts no more."""
    workbook.start("m2")
    add = exercises.op("m2", "add")
    assert "m2 ░░░░░░░░░░ 0 of 6" in said("progress") and "m3 ░░░░░░░░░░ 0 of 7  not started" in said("progress")
    shutil.copy(SOLUTION / "m2" / "add.metal", workbook.path_of(add))
    proved(add)
    out = said("progress")
    assert "m2 ██░░░░░░░░ 1 of 6  ✓ add" in out and "7 passed, 0 failed, 1 not run here" in out
    workbook.path_of(add).write_text("// changed\n")
    assert "0 of 6  ~ add" in said("progress")


def test_a_changed_header_counts_for_those_that_include_it(home):
    workbook.start("m3")
    for op in exercises.ops("m3"):
        for name in op.files:
            shutil.copy(SOLUTION / "m3" / name, workbook.path_of(op, name))
        proved(op)
    assert "m3 ██████████ 7 of 7" in said("progress")
    with (home / "m3" / "philox.h").open("a") as out:
        out.write("// changed\n")
    out = said("progress")
    assert "~ philox" in out and "~ sample" in out and "✓ softmax" in out and "5 of 7" in out


@pytest.mark.parametrize(("milestone", "file", "kind"), [("m4", "cache.py", "KvCache"), ("m7", "loop.py", "Loop")])
def test_a_python_stub_has_the_shipped_signatures(milestone, file, kind):
    """Every method that ours has, with the same parameters, defaults, types and decorators; and the module's constants."""
    stub, shipped = (_signatures(path) for path in (exercises.folder(milestone) / file, SOLUTION / milestone / file))
    assert stub == shipped and f"class {kind}" in shipped and len(shipped) > 5


def _signatures(path: Path) -> dict[str, list[str]]:
    """class or method → its decorators, parameters and return type; what a module binds by name."""
    found: dict[str, list[str]] = {}
    tree = ast.parse(path.read_text())
    for node in [*tree.body, *(n for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body)]:
        if isinstance(node, ast.FunctionDef):
            returns = ast.unparse(node.returns) if node.returns else ""
            found[node.name] = [*map(ast.unparse, node.decorator_list), ast.unparse(node.args), returns]
        elif isinstance(node, ast.ClassDef):
            found[f"class {node.name}"] = list(map(ast.unparse, node.bases))
        elif isinstance(node, ast.Assign):
            found[ast.unparse(node.targets[0])] = [ast.unparse(node.value)]
    return found


def test_results_that_are_no_results_are_none(home):
    workbook.start("m2")
    (home / ".results.json").write_text('{"m2/add": 3')
    assert "0 of 6" in said("progress")
    add = exercises.op("m2", "add")
    shutil.copy(SOLUTION / "m2" / "add.metal", workbook.path_of(add))
    proved(add)
    assert results.load()
    for old, new in (('"passed": 7', '"passed": "7"'), ('"first_failure": ""', '"first_failure": [1]')):
        text = (home / ".results.json").read_text()
        (home / ".results.json").write_text(text.replace(old, new))
        assert new in (home / ".results.json").read_text() and results.load() == {} and results.state(add) == "untested"
        (home / ".results.json").write_text(text)


def test_runs_that_end_at_once_keep_every_verdict(home):
    """Two terminals, or `watch` beside pytest."""
    workbook.start("m2")
    runs = [f"m2/op{n}" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda run: results.save({run: results.Verdict(1, 0, 0, "")}), runs))
    assert sorted(results.load()) == sorted(runs)


def test_what_is_no_workbook_is_named_with_its_path(tmp_path, home):
    """Not "the output cannot be written": it is the workbook that cannot."""
    home.write_text("a file")
    refused(firstlight("start", "m2"), f"{home / 'm2'} cannot be used: Not a directory")
    home.unlink()
    home.mkdir()
    (home / "m2").write_text("a file")
    refused(firstlight("start", "m2"), f"{home / 'm2'} cannot be used: File exists")


def test_what_nobody_has_written_is_not_read_as_a_kernel(home):
    workbook.start("m2")
    add, path = exercises.op("m2", "add"), workbook.path_of(exercises.op("m2", "add"))
    with path.open("wb") as out:
        out.truncate(1 << 32)  # no disk is used
    refused(firstlight("solution", "m2", "add", "--spoil"), "add.metal is larger than 1 MB")
    source.use(lambda milestone, file: True)
    try:
        with pytest.raises(metal.error, match=r"workbook/m2/add\.metal is larger than 1 MB"):
            source.read("m2", "add")
    finally:
        source.use(None)
    assert not workbook.untouched(add) and workbook.absent("m2") == []
    path.unlink()
    path.mkdir()
    assert workbook.absent("m2") == ["m2/add.metal"], "a folder is no file"


def test_a_hint_in_three_steps(home):
    op = exercises.op("m3", "softmax")
    for step in (1, 2, 3):
        out = said("hint", "m3", "softmax", "--step", str(step))
        assert op.hints[step - 1] in out
        assert (f"--step {step + 1}" in out) == (step < 3)
    assert "\n    index = group" in said("hint", "m6", "embed_rows", "--step", "3"), "code keeps its first line's indentation"
    assert said("hint", "m3").startswith(f"m3 {exercises.ops('m3')[0].name}, nudge")


def test_the_solution_is_shown_once_the_spec_has_passed_or_when_asked_twice(home):
    workbook.start("m3")
    refused(firstlight("solution", "m3", "softmax"), "m3 softmax is not proved yet", "--spoil")
    assert "+++ ours/m3/softmax.metal" in said("solution", "m3", "softmax", "--spoil")
    softmax = exercises.op("m3", "softmax")
    shutil.copy(SOLUTION / "m3" / "softmax.metal", workbook.path_of(softmax))
    proved(softmax)
    assert said("solution", "m3", "softmax") == "softmax.metal: yours is ours\n"


def test_list_names_every_exercise_in_order(home):
    workbook.start("m2")
    words = said("list").split()
    places = [words.index(op.name) for op in OPS]
    assert len(places) == len(OPS) and "begun" in words and "started" in words


@pytest.mark.slow
def test_the_model_runs_on_the_learners_own_kernels_where_they_are_proved(home, model_path):
    """Another comment makes the file the learner's; a broken file that is not proved must not be touched."""
    workbook.start("m2")
    swiglu, rope = exercises.op("m2", "swiglu"), exercises.op("m2", "rope")
    workbook.path_of(swiglu).write_text("// mine\n" + (SOLUTION / "m2" / "swiglu.metal").read_text())
    workbook.path_of(rope).write_text("this is no Metal\n")
    proved(swiglu)
    done = firstlight("generate", "The cat sat on the", "--max-tokens", "4", "--workbook", "--json")
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    plain = firstlight("generate", "The cat sat on the", "--max-tokens", "4", "--json").stdout.decode().splitlines()
    ids = [json.loads(line)["id"] for line in plain[:-1]]
    assert [line["id"] for line in lines[:-1]] == ids
    shares = lines[-1]["workbook"]
    assert set(shares) == {"m2/swiglu"} and 0 < shares["m2/swiglu"] < 0.5
    workbook.start("m6")
    embed = exercises.op("m6", "embed_rows")
    workbook.path_of(embed).write_text("// mine\n" + (SOLUTION / "m6" / "embed_rows.metal").read_text())
    proved(embed)
    for options, ran in (((), True), (("--naive",), False)):  # m6's kernels run as soon as one of them is the learner's
        done = firstlight("generate", "The cat sat on the", "--max-tokens", "4", "--workbook", "--json", *options)
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        assert [line["id"] for line in lines[:-1]] == ids and (lines[-1]["workbook"]["m6/embed_rows"] > 0) == ran


@pytest.mark.slow
def test_a_workbook_with_nothing_proved_says_so(home, model_path):
    refused(firstlight("generate", "hi", "--workbook"), "there is no workbook yet: firstlight start m1")


def test_the_reward_says_how_the_plain_kernels_run():
    assert reward.line({}, [exercises.op("m2", "rope")], [], "fast").endswith("m2/rope (--naive runs m2's and m4's)")
