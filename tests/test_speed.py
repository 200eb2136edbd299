"""What measures speed: ratios and their margins, pictures, the profile's parts. How fast anything is stands in no test."""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import examples
from milestones.errors import UserError
from milestones.speed import chart, flame, others, regressions
from milestones.speed.flame import Frame
from milestones.speed.frontiers import Row, as_csv, contexts_of
from milestones.speed.profile import Profile, cycle
from tests.command import firstlight, refused
from tests.plugin.speed import one_or_more
from tests.strength.conftest import above_0


def document(**times: float) -> dict:
    """A run of pytest-benchmark: one group, its baseline, kernels, and pytorch."""
    entries = {"baseline": 1.0, **times}
    return {
        "benchmarks": [
            {"fullname": f"bench_x.py::test_{role}", "group": "x", "stats": {"min": least}, "extra_info": {"role": role}}
            for role, least in entries.items()
        ]
    }


def runs(seed: int, number: int, noise: float, **kernels: float) -> list[dict[str, float]]:
    """The ratios of runs on a machine whose speed and whose noise change from run to run."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        machine = rng.uniform(0.5, 2)
        noisy = {name: float(median * machine * np.exp(rng.normal(0, noise))) for name, median in kernels.items()}
        made.append(regressions.ratios(document(**{"baseline": machine * float(np.exp(rng.normal(0, noise))), **noisy})))
    return made


def test_a_ratio_is_of_the_same_run_and_group():
    assert regressions.ratios(document(baseline=2.0, fast=0.5)) == {"bench_x.py::test_fast": 0.25}
    assert regressions.ratios({"benchmarks": []}) == {}


def test_a_planted_slow_kernel_is_caught_in_every_noise():
    """Half as slow again: beyond what runs that differ by 3 % can explain, whatever the machine does."""
    for seed in range(50):
        *past, now = runs(seed, 11, 0.03, a=0.2, b=0.5)
        slow = {name: ratio * (1.5 if name.endswith("_a") else 1) for name, ratio in now.items()}
        assert [change.name for change in regressions.changes(slow, past) if change.slower] == ["bench_x.py::test_a"]


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03, 0.1])
def test_runs_that_only_vary_raise_no_alarm(noise):
    """Fifty times eleven clean runs of twenty benchmarks, the last compared with those before: a thousand comparisons."""
    alarms = 0
    for seed in range(50):
        *past, now = runs(seed, 11, noise, **{f"k{n}": 0.1 * (n + 1) for n in range(20)})
        alarms += sum(change.slower for change in regressions.changes(now, past))
    assert alarms <= (0 if noise <= 0.03 else 10)


def test_one_bad_run_before_does_not_hide_a_slow_kernel():
    *past, now = runs(1, 9, 0.02, a=0.2)
    past[4] = {name: 10 * ratio for name, ratio in past[4].items()}
    slow = {name: 1.6 * ratio for name, ratio in now.items()}
    assert [change.slower for change in regressions.changes(slow, past)] == [True]


def test_without_enough_runs_before_nothing_is_called_slower():
    [change] = regressions.changes({"x": 9.0}, [{"x": 1.0}] * (regressions.ENOUGH - 1))
    assert not change.slower and change.arrow == "new"


@examples(50)
@given(ratio=st.floats(1e-3, 1e3), before=st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=8))
@example(ratio=1.0, before=[1.0, 1.0, 1.0])
def test_a_margin_is_never_smaller_than_the_least_and_a_change_has_one_arrow(ratio, before):
    [change] = regressions.changes({"x": ratio}, [{"x": value} for value in before])
    assert change.margin >= regressions.LEAST and not (change.slower and change.faster)
    assert change.name in regressions.summary([change]) and change.arrow in regressions.summary([change])


def compare(folder: Path, now: dict, *before: dict, again: dict | None = None) -> subprocess.CompletedProcess:
    paths = []
    for number, found in enumerate([now, *before, *([again] if again else [])]):
        paths.append(str(folder / f"{number}.json"))
        Path(paths[-1]).write_text(json.dumps(found))
    paths[-1:] = ["--again", paths[-1]] if again else paths[-1:]
    command = [sys.executable, "-m", "milestones.speed.regressions", *paths]
    files = ["--summary", str(folder / "summary.md"), "--plot", str(folder / "history.svg")]
    return subprocess.run([*command, *files], capture_output=True, text=True, timeout=60)


def test_the_command_ends_with_1_for_a_slow_kernel_and_writes_table_and_picture(tmp_path):
    before = [document(kernel=0.1 * (1 + 0.01 * n), pytorch=2.0) for n in range(4)]
    assert compare(tmp_path, document(kernel=0.105, pytorch=2.0), *before).returncode == 0
    done = compare(tmp_path, document(kernel=0.3, pytorch=2.0), *before)
    assert done.returncode == 1 and "slower: bench_x.py::test_kernel: 2.9" in done.stderr
    assert "▲ slower" in (tmp_path / "summary.md").read_text() and "▲ slower" in done.stdout
    assert "test_kernel" in (tmp_path / "history.svg").read_text()
    others = compare(tmp_path, document(kernel=0.1, pytorch=6.0), *before)
    assert others.returncode == 0 and "▲ slower" in others.stdout, "a library that became slower is no alarm of ours"


def test_measured_again_slow_is_what_is_slow_both_times(tmp_path):
    """By chance one kernel is slow the first time and another the second: no alarm. A third one both times: that one."""

    def run(**kernels: float) -> dict:
        return document(**{f"kernel {name}": ratio for name, ratio in kernels.items()})

    before = [run(a=0.1, b=0.1, c=0.1)] * 4
    chance = compare(tmp_path, run(a=0.3, b=0.1, c=0.1), *before, again=run(a=0.1, b=0.3, c=0.1))
    assert chance.returncode == 0 and "slower" not in chance.stderr
    slow = compare(tmp_path, run(a=0.3, b=0.1, c=0.3), *before, again=run(a=0.1, b=0.3, c=0.3))
    assert slow.returncode == 1 and slow.stderr.count("slower:") == 1 and "test_kernel c" in slow.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no", "no JSON"),
        pytest.param("[" * 100_000, "no JSON", id="deep"),
        ("{}", "not what pytest"),
        ('{"benchmarks": []}', "no benchmark"),
        (json.dumps(document(baseline=0.0, kernel=1.0)), "test_baseline is 0.0: a time is above 0"),
        (json.dumps(document(baseline=1.0, kernel=float("nan"))), "test_kernel is nan"),
        (json.dumps(document(baseline=1.0)).replace("1.0", '"1.0"'), "not what pytest"),
        (json.dumps(document(baseline=1.0)).replace('"bench_x.py::test_baseline"', "[3]"), "not what pytest"),
    ],
)
def test_a_file_that_is_no_run_is_one_line(tmp_path, text, words):
    path = tmp_path / "x.json"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "milestones.speed.regressions", str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and words in done.stderr and "x.json" in done.stderr


@pytest.mark.parametrize("option", ["--summary", "--plot"])
def test_a_table_that_cannot_be_written_is_no_slow_kernel(tmp_path, option):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document(baseline=1.0, kernel=1.0)))
    command = [sys.executable, "-m", "milestones.speed.regressions", str(path), option, str(tmp_path / "no" / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "cannot be written" in done.stderr


def test_a_cycle_is_found_whatever_stands_before_and_after():
    assert cycle(["e", *["n", "m", "m"] * 4, "h", "h"], 4) == (1, 3)
    assert cycle(["a"] * 6, 3) == (0, 2)
    assert cycle(["a", "b", "c"], 2) == (0, 0)


def profile(**changes) -> Profile:
    runs = (("m1/get_rows", 1e-4), *[("m2/matmul", 1e-3), ("m2/add", 5e-4)] * 3, ("m2/matmul", 4e-3))
    return Profile(**{"runs": runs, "step": 1e-2, "dispatch": 1e-5, "context": 5, "blocks": 3, **changes})


def test_a_profiles_parts_are_the_whole():
    found = profile()
    shares = found.shares()
    assert shares == pytest.approx({"kernels": 0.86, "dispatch": 0.008, "host": 0.132})
    assert found.by_kernel()[0] == ("m2/matmul", 4, pytest.approx(7e-3))
    frame = found.frame()
    assert [child.name for child in frame.children] == ["m1/get_rows", "block 0", "block 1", "block 2", "m2/matmul"]
    assert frame.seconds == pytest.approx(found.kernels) and frame.children[1].seconds == pytest.approx(1.5e-3)
    assert sum(profile(step=1e-3).shares().values()) == pytest.approx(1), "kernels waited for may take longer than the step"


def test_pictures_are_svg_and_hold_what_they_show():
    frame = profile().frame()
    drawn = flame.svg(frame)
    found = xml.dom.minidom.parseString(drawn)
    assert len(found.getElementsByTagName("rect")) == sum(1 for _ in frame.placed()) == 12
    rows = flame.text(frame, 80).splitlines()
    assert len(rows) == 3 and rows[0].startswith("|decode step 8.60 ms") and "block 1" in rows[1] and max(map(len, rows)) <= 80
    lines = chart.lines({"a<b": [(128, 10.0), (512, 0.0)], "c": [(128, 3.0)]}, "x", "y", log_x=True)
    assert len(xml.dom.minidom.parseString(lines).getElementsByTagName("circle")) == 3 and "a&lt;b" in lines
    with pytest.raises(ValueError):
        chart.lines({}, "x", "y")


def test_a_frame_of_nothing_measured_is_still_drawn():
    assert flame.text(Frame("x", 1.0), 20) == "|x 1000.00 ms·······\n"


@pytest.mark.parametrize("text", ["", "a", "0,5", "1,,2", "100000", "1.5"])
def test_contexts_that_cannot_be_are_named(text):
    with pytest.raises(UserError, match="--contexts"):
        contexts_of(text, 8192, 16)
    assert contexts_of("512, 128,128", 8192, 16) == [128, 512]


def test_rows_as_csv_name_the_machine():
    text = as_csv([Row("firstlight", 128, 100.25, 50.5, 0.01, 1000, 2000)], {"device": "x"})
    assert text.splitlines()[0] == "# device: x" and text.splitlines()[2] == "firstlight,128,100.2,50.5,0.01,1000,2000"


@pytest.mark.slow
@pytest.mark.parametrize(("cache_type", "size"), [("f32", 4), ("f16", 2)])
def test_bench_measures_the_model_and_writes_its_files(tmp_path, model_path, cache_type, size):
    files = (tmp_path / "b.csv", tmp_path / "b.svg")
    options = ("--contexts", "8,16", "--new", "2", "--csv", str(files[0]), "--plot", str(files[1]))
    done = firstlight("bench", *options, "--cache-type", cache_type, "--activation-type", cache_type)
    assert done.returncode == 0, done.stderr
    header, *rows = (
        line.split(",") for line in files[0].read_text().splitlines() if line.startswith(("firstlight,", "engine,"))
    )
    held = [int(row[header.index("cache_bytes")]) for row in rows]
    assert held == [2 * 30 * 192 * size * rows for rows in (8, 16)] and files[1].read_text().startswith("<svg")
    assert b"of what the memory could give" in done.stdout


class FakeLlama:
    """llama-cpp-python 0.3.36's Llama, as far as bench needs it: no logits in `scores`, and rows of it for one batch only."""

    def __init__(self, path, n_ctx, **_):
        self.n_tokens, self.scores, self.ctx = 0, np.zeros((4, 8), np.float32), self

    def n_vocab(self):
        return 8

    def eval(self, tokens):
        self.n_tokens += len(tokens)
        self.logits = np.eye(8, dtype=np.float32)[(tokens[-1] + 1) % 8]


def test_the_logits_of_llama_cpp_are_those_of_its_last_token(monkeypatch):
    """Past a batch of 512 tokens bench once ended in an IndexError, and before it every token was 0."""
    get = lambda ctx, i: ctx.logits.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) if i == -1 else None  # noqa: E731
    monkeypatch.setitem(sys.modules, "llama_cpp", SimpleNamespace(Llama=FakeLlama, llama_get_logits_ith=get))
    monkeypatch.setattr("milestones.speed.others.metadata.version", lambda name: "0")
    llama = others.LlamaCpp(Path("x"), 16)
    assert [llama.feed([1, 2, 3, 4, 5]), llama.feed([6])] == [6, 7]


@pytest.mark.slow
def test_transformers_goes_back_as_far_as_it_is_told(model_path):
    """bench measures the same tokens again: after a rewind the same token follows, and the cache has grown no further."""
    other = others.Transformers(model_path)
    first = other.feed([504, 3575, 282])
    after = [other.feed([first]) for _ in range(3) if other.rewind(3) is None]
    other.rewind(4)
    assert len(set(after)) == 1 and other._past.get_seq_length() == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "named"),
    [((), "m6/greedy_head"), (("--naive",), "m2/matmul"), (("--temperature", "0.8", "--top-p", "0.9"), "m6/sample_wide")],
    ids=["fast", "naive", "drawn"],
)
def test_profile_shows_every_kernel_of_a_step(tmp_path, model_path, options, named):
    done = firstlight("profile", "The capital of France is", "--json", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["context"] == 5 and sum(found["shares"].values()) == pytest.approx(1)
    assert len(found["runs"]) > 100 and all(seconds >= 0 for _, seconds in found["runs"])
    assert named in {name for name, _ in found["runs"]}


def test_wrong_calls_are_one_line(tmp_path):
    refused(firstlight("bench", "--against", "nobody"), "nobody")
    refused(firstlight("bench", "--csv", str(tmp_path / "no" / "x.csv")), "no folder")
    refused(firstlight("bench", "--plot", str(tmp_path)), "it is a folder")
    refused(firstlight("bench", "--csv", "x", "--plot", "x"), "--csv and --plot name one file")
    refused(firstlight("profile", "x", "--svg", str(tmp_path / "no" / "x.svg")), "no folder")


@pytest.mark.parametrize(
    ("read", "wrong"), [(one_or_more, ["0", "-1"]), (above_0, ["0", "-1", "nan", "inf"])], ids=["rounds", "minutes"]
)
def test_numbers_that_bound_nothing_are_refused(read, wrong):
    """0 meant no bound at all, and with nan minutes nothing was run and all was well."""
    assert read("2") == 2
    for number in wrong:
        with pytest.raises(argparse.ArgumentTypeError, match=f"must be .*, got {number}"):
            read(number)
