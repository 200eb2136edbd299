"""The spec of the engine's own part: text in, text out, figures, refusals."""

from __future__ import annotations

import pytest

from milestones.errors import UserError
from milestones.m7.engine import Engine, Figures


@pytest.fixture(scope="module")
def engine(model_path) -> Engine:
    return Engine(model_path)


def text(engine, prompt, **options):
    return "".join(token.text for token in engine.generate(prompt, **options))


def test_the_completion_does_not_repeat_the_prompt(engine):
    assert text(engine, "The capital of France is", max_tokens=2) == " Paris."
    assert (engine.figures.prompt_tokens, engine.figures.new_tokens, engine.figures.reason) == (5, 2, "limit")


def test_the_run_ends_at_end_of_text_and_shows_nothing_of_it(engine):
    """The model's own end marker is no text."""
    out = text(engine, "The capital of France is", max_tokens=100)
    assert out.endswith("12:12:53.") and engine.figures.reason == "end-of-text"


def test_the_run_ends_before_a_stop_string_that_spans_tokens(engine):
    whole = text(engine, "def fibonacci(n):", max_tokens=30)
    stop = whole[20:33]
    assert text(engine, "def fibonacci(n):", max_tokens=30, stop=[stop]) == whole[: whole.index(stop)]
    assert engine.figures.reason == "stop string"


def test_bytes_that_are_no_text_are_a_prompt_too(engine):
    text(engine, b"caf\xe9", max_tokens=1)
    assert engine.figures.new_tokens == 1


def test_two_runs_side_by_side_do_not_disturb_each_other(engine):
    """Generators are lazy: each has its own cache, and a step is done before the next begins."""
    alone = [text(engine, prompt, max_tokens=6) for prompt in ("The cat sat on the", "Once upon a time")]
    first, second = (engine.generate(prompt, max_tokens=6) for prompt in ("The cat sat on the", "Once upon a time"))
    together = ["", ""]
    for a, b in zip(first, second, strict=True):
        together[0] += a.text
        together[1] += b.text
    assert together == alone


def test_what_cannot_be_is_refused_in_words(engine):
    with pytest.raises(UserError, match="the prompt is empty"):
        next(engine.generate(""))
    with pytest.raises(UserError, match="max-tokens must be at least 1, got 0"):
        next(engine.generate("x", max_tokens=0))
    with pytest.raises(UserError, match=r"the prompt is 9001 tokens, the model's context holds 8192"):
        next(engine.generate("word " * 9000))


def test_activations_of_16_bits_are_the_fast_kernels_alone(engine):
    """Refused in words before a weight is read; where they run, a prompt's likeliest token is the same."""
    with pytest.raises(UserError, match="activations must be float32 or float16, got 'int8'"):
        Engine(engine.path, activations="int8")
    with pytest.raises(UserError, match="float16 activations are the fast kernels' alone, and the plain ones are to run"):
        Engine(engine.path, kernels="naive", activations="float16")
    halves = Engine(engine.path, gpu=engine.gpu, activations="float16", file=engine.file, tokenizer=engine.tokenizer)
    exact, near = (next(e.generate("The capital of France is", max_tokens=1)) for e in (engine, halves))
    assert exact.text == near.text == " Paris" and 0 < abs(exact.logprob - near.logprob) < 0.02


def test_figures_are_told_only_where_there_are_any():
    assert Figures(5, 1, 0.1, 0.0, 0, "end-of-text").line() == "5 prompt tokens, 1 new (end-of-text); prefill 50.0 tok/s"
    assert Figures(5, 3, 0.1, 0.1, 0, "limit").line() == "5 prompt tokens, 3 new (limit); prefill 50.0 tok/s, decode 20.0 tok/s"
