"""The sampling options at the command line, `sample`, `logits --checkpoints`, and lines of JSON."""

from __future__ import annotations

import io
import json
import os
import re

import numpy as np
import pytest
from rich.console import Console

from conftest import one_in
from milestones.m3.sampler import Settings, Stages
from milestones.m7 import study
from tests.command import Terminal, firstlight, refused

STORY = ("generate", "Once upon a time", "--max-tokens", "5")
HOT = ("--temperature", "1.3", "--top-k", "50", "--top-p", "0.95", "--min-p", "0.01", "--repeat-penalty", "1.1")


def text(*arguments: str) -> str:
    done = firstlight(*arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_the_same_seed_gives_the_same_text_and_another_another(model_path):
    first, again, other = (text(*STORY, *HOT, "--seed", seed) for seed in ("7", "7", "8"))
    assert first == again != other


@pytest.mark.slow
def test_without_a_seed_every_run_is_another(model_path):
    """And the figures name the seed, so that a run can be repeated."""
    with Terminal(*STORY, "--temperature", "1.5", only_stderr=True) as terminal:
        out, shown = terminal.process.communicate(timeout=60)[0].decode(), terminal.rest()
    seed = re.search(r"; seed (\d+)", shown)
    assert seed is not None
    assert text(*STORY, "--temperature", "1.5", "--seed", seed[1]) == out, "the named seed must give the text that was shown"
    assert len({text(*STORY, "--temperature", "1.5") for _ in range(3)}) > 1


@pytest.mark.slow
def test_temperature_zero_and_top_k_one_are_greedy(model_path):
    greedy = text(*STORY)
    assert text(*STORY, "--temperature", "1", "--top-k", "1") == greedy == text(*STORY, "--temperature", "0", "--seed", "5")


@pytest.mark.slow
def test_a_repetition_penalty_changes_a_text_that_repeats_itself(model_path):
    prompt = ("generate", "1 2 1 2 1 2 1 2", "--max-tokens", "12")
    assert text(*prompt) != text(*prompt, "--repeat-penalty", "1.5")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--temperature", "-0.1", "temperature must be 0"),
        ("--temperature", "nan", "temperature must be 0"),
        ("--temperature", "inf", "temperature must be 0"),
        ("--temperature", "warm", "warm"),
        ("--top-k", "-1", "top-k must be 0"),
        ("--top-k", "1.5", "1.5"),
        ("--top-p", "0", "top-p must be above 0"),
        ("--top-p", "1.01", "top-p must be above 0"),
        ("--top-p", "nan", "top-p must be above 0"),
        ("--min-p", "-1", "min-p must be from 0"),
        ("--min-p", "2", "min-p must be from 0"),
        ("--repeat-penalty", "0", "repetition penalty must be"),
        ("--seed", "-1", "seed must be from 0"),
        ("--seed", str(2**64), "seed must be from 0"),
        ("--max-tokens", "-5", "max-tokens"),
        ("--cache-type", "f64", "f64"),
        ("--activation-type", "f64", "f64"),
    ],
)
@pytest.mark.parametrize("command", one_in(2, ["generate", "chat"]))
def test_an_option_out_of_range_is_one_line(command, option, value, words):
    refused(firstlight(*(["generate", "x"] if command == "generate" else ["chat"]), option, value), words)


def test_json_lines_hold_the_tokens_and_then_the_figures(model_path):
    prompt = ("generate", "The capital of France is", "--max-tokens", "4")
    lines = [json.loads(line) for line in text(*prompt, "--json").splitlines()]
    *tokens, last = lines
    assert "".join(token["text"] for token in tokens) == text(*prompt).removesuffix("\n")
    assert tokens[0]["id"] == 7042 and -1.0 < tokens[0]["logprob"] < 0
    assert last["figures"]["new_tokens"] == 4 and last["figures"]["prompt_tokens"] == 5
    assert last["figures"]["reason"] == "limit" and last["settings"]["temperature"] == 0


def test_a_prompt_comes_from_standard_input_with_a_dash(model_path):
    piped = firstlight("generate", "-", "--max-tokens", "2", stdin=b"The capital of France is\n")
    assert piped.stdout == b" Paris.\n"
    assert firstlight("tokenize", "-", "--ids", stdin=b"The capital of France is").stdout == b"504 3575 282 4649 314\n"


@pytest.mark.slow
def test_halves_in_the_cache_and_between_kernels_say_the_same(model_path):
    assert text(*STORY) == text(*STORY, "--cache-type", "f16", "--activation-type", "f16")
    refused(firstlight(*STORY, "--activation-type", "f16", "--no-cache"), "--no-cache runs the plain ones")


def test_sample_shows_what_each_setting_cuts(model_path):
    prompt = ("sample", "The capital of France is", "--top", "4")
    plain = text(*prompt)
    assert [int(line.split()[0]) for line in plain.splitlines()[1:5]] == [7042, 260, 4528, 2250]
    cut = text(*prompt, "--temperature", "0.7", "--top-k", "3", "--top-p", "0.9", "--min-p", "0.05")
    for words in ("T 0.7", "top-k 3", "top-p 0.9", "min-p 0.05", "cut by", "Tokens left", "top-k 3: 3"):
        assert words in cut
    assert cut.splitlines()[4].split()[-1] == "top-k", "the fourth token is cut by top-k"
    refused(firstlight(*prompt, "--temperature", "0"), "at temperature 0 nothing is drawn")


def test_a_long_token_does_not_take_the_room_of_the_numbers(monkeypatch):
    """A hundred spaces are one token of the default model: ids, logits and probabilities beside it became "…"."""
    row, order = np.float32([0.75, 0.25]), np.array([1, 0])
    monkeypatch.setattr(study, "_stages", lambda *_: Stages(order, *[row] * 7))
    monkeypatch.setattr(study, "_shown", lambda _, token: "x" * 300 if token else "'a'")
    console = Console(width=80, file=io.StringIO(), color_system=None)
    study.show_stages(None, [], Settings(temperature=0.5, top_k=1), 2, console)  # type: ignore[arg-type]
    lines = console.file.getvalue().splitlines()
    assert lines[1].split()[0] == "1" and lines[1].split()[2:] == ["0.250", "25.0%", "25.0%", "25.0%"]
    assert lines[1].split()[1].endswith("xxx…") and {len(line) for line in lines[:3]} == {80}


def test_checkpoints_hold_every_layers_output(model_path, tmp_path):
    path = tmp_path / "seen.npz"
    text("logits", "The capital of France is", "--checkpoints", str(path))
    with np.load(path) as seen:
        assert seen["ids"].tolist() == [504, 3575, 282, 4649, 314]
        assert seen["embedding"].shape == seen["block 29"].shape == seen["norm"].shape == (5, 576)
        assert seen["logits"].shape == (1, 49152) and seen["logits"].argmax() == 7042
    refused(firstlight("logits", "x", "--checkpoints", str(tmp_path / "seen.txt")), "seen.txt")
    refused(firstlight("logits", "x", "--checkpoints", str(tmp_path / "no" / "seen.npz")), "cannot be written")
    os.mkfifo(tmp_path / "pipe.npz")
    refused(firstlight("logits", "x", "--checkpoints", str(tmp_path / "pipe.npz")), "cannot be written (it is no plain file)")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pipe.npz", "seen.npz"]
