"""The spec of perplexity: the figures worked by hand, and equal to what PyTorch and transformers make of the same weights."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict

import numpy as np
import pytest
import torch

from milestones.errors import UserError
from milestones.m5.perplexity import compare, lines, log_softmax, measure, prose, summary
from milestones.m5.quantize_file import quantize_file
from milestones.m5.test_quantize_file import write_folder
from milestones.speed.chart import scatter
from tests.command import firstlight, refused

TEXT = "abc abab bcab, and then some: é ünd, more " * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random model in a Hugging Face folder, and the same in float32 in PyTorch."""
    path = tmp_path_factory.mktemp("tiny") / "model"
    path.mkdir()
    return path, write_folder(path).float()


def test_two_predictions_worked_by_hand():
    """p = (½, ¼, ¼), then (⅛, ¾, ⅛), and the tokens 0 and 0: perplexity √(2 · 8) = 4. The other model says (¼, ½, ¼) twice: it
    gives ¼ to each, so 4 as well; KL is ½ ln(½ / ¼) + ¼ ln(¼ / ½) and ½ ln(½ / ¾) + 2 · ¼ ln(¼ / ⅛); it agrees once of two."""
    mine, theirs = np.log([[1 / 2, 1 / 4, 1 / 4], [1 / 8, 3 / 4, 1 / 8]]), np.log([[1 / 4, 1 / 2, 1 / 4]] * 2)
    kl = [1 / 4 * math.log(1 / 2) + 1 / 2 * math.log(2), 1 / 2 * math.log(2) + 1 / 2 * math.log(2 / 3)]
    rows = compare(mine, np.array([0, 0]), theirs)
    np.testing.assert_allclose(rows, [[math.log(2), math.log(8)], [math.log(4)] * 2, kl, [0, 1]])
    cost = summary([rows], 3, 4.5)
    assert (cost.predicted, cost.perplexity, cost.other_perplexity) == (2, pytest.approx(4), pytest.approx(4))
    assert (cost.kl, cost.agreement) == (pytest.approx(sum(kl) / 2), 0.5)
    assert cost.error == pytest.approx(4 * np.std([math.log(2), math.log(8)], ddof=1) / 2**0.5)


def test_one_prediction_has_no_error_to_tell():
    """Nor is it NaN, which is no JSON."""
    cost = summary([compare(np.log([[1 / 2, 1 / 2]]), np.array([0]))], 3, 4.5)
    assert json.loads(json.dumps(asdict(cost), allow_nan=False))["error"] is None
    assert lines(cost).startswith("perplexity 2.000, 1 token in")


def test_log_softmax_survives_large_logits():
    logits = np.float32([[1000, 999, -1000], [0, 0, 0]])
    np.testing.assert_allclose(log_softmax(logits), torch.log_softmax(torch.from_numpy(logits).double(), -1), atol=1e-12)


def oracle(folder, model, window):
    """−ln p of each predicted token, by transformers and PyTorch, and all ln p."""
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT).ids
    found = []
    for first in range(0, len(ids), window):
        part = torch.tensor(ids[first : first + window])
        with torch.no_grad():
            found.append((part[1:], torch.log_softmax(model(part[None]).logits[0, :-1].double(), -1)))
    return [(targets, p) for targets, p in found if len(targets)]


def test_equals_pytorch_on_the_same_weights(folder):
    """Windows of 20 tokens, the last one shorter: each token but a window's first counts once."""
    path, model = folder
    cost = measure(path, TEXT, window=20)
    losses = torch.cat([torch.nn.functional.nll_loss(p, t, reduction="none") for t, p in oracle(path, model, 20)])
    assert cost.predicted == len(losses) > 50
    assert cost.perplexity == pytest.approx(math.exp(losses.mean()), rel=1e-4)
    assert (cost.kl, cost.agreement, cost.other_perplexity) == (None, None, None)


def test_the_distance_between_a_model_and_its_quantization_equals_pytorchs(folder, tmp_path):
    """KL of Q4_0's distributions from the floats', with weights that PyTorch dequantized in its own model."""
    path, model = folder
    quantize_file(path, tmp_path / "q4.gguf", "Q4_0")
    cost = measure(tmp_path / "q4.gguf", TEXT, against=path, window=30)
    itself = measure(path, TEXT, against=path, window=30)
    assert (itself.kl, itself.agreement) == (0, 1)
    assert itself.perplexity == itself.other_perplexity == cost.other_perplexity
    assert 0.001 < cost.kl < 2 and 0.3 < cost.agreement < 1 and 4 < cost.bits < itself.bits
    own = measure(tmp_path / "q4.gguf", TEXT, window=30)
    theirs = oracle(path, model, 30)
    assert own.perplexity == cost.perplexity
    assert cost.other_perplexity == pytest.approx(
        math.exp(torch.cat([-p.gather(1, t[:, None]) for t, p in theirs]).mean()), rel=1e-4
    )


def test_models_with_other_tokens_are_not_compared(folder, tmp_path):
    path, _ = folder
    other = tmp_path / "other"
    other.mkdir()
    write_folder(other)
    words = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(words.replace("<tool>", "<fool>"))
    with pytest.raises(UserError, match="have different tokens: give two files of one model"):
        measure(path, TEXT, against=other)


@pytest.mark.parametrize(("text", "window", "words"), [("a", 9, "the text is 1 tokens"), (TEXT, 200, "context of 128")])
def test_what_cannot_be_measured_is_named(folder, text, window, words):
    with pytest.raises(UserError, match=words):
        measure(folder[0], text, window=window)


def test_the_text_that_comes_with_it_is_some_thousand_tokens_of_prose():
    assert 9_000 < len(prose()) < 16_000 and prose().isprintable() is False and "  " not in prose()


def test_the_command_says_it_in_a_line_or_as_json(folder, tmp_path):
    (tmp_path / "text").write_text(TEXT)
    common = ("--text", str(tmp_path / "text"), "--window", "20")
    cost = measure(folder[0], TEXT, against=folder[0], window=20)
    done = firstlight("perplexity", str(folder[0]), "--against", str(folder[0]), *common)
    assert (done.returncode, done.stderr, done.stdout.decode()) == (0, b"", lines(cost))
    assert "KL divergence 0.00000 nats a token, the same likeliest token 100.0% of the time" in lines(cost)
    done = firstlight("perplexity", str(folder[0]), *common, "--json")
    assert json.loads(done.stdout)["perplexity"] == asdict(cost)["perplexity"]
    refused(firstlight("perplexity", str(folder[0]), "--text", str(tmp_path)), "cannot be read (Is a directory)")


def test_a_plot_is_svg_with_a_point_for_each_name():
    text = scatter([("A & B", 4.5, 0.02), ("C", 8.5, 0.0003)], "bits", "KL")
    root = ElementTree.fromstring(text)
    circles = [e for e in root.iter() if e.tag.endswith("circle")]
    (x1, y1), (x2, y2) = ((float(c.get("cx")), float(c.get("cy"))) for c in circles)
    assert x1 < x2 and y1 < y2 and "A &amp; B" in text
