"""The cache's diagram: rows, rewinds and forks of the real loop, on a small model, against a forward pass in PyTorch."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from conftest import need_device
from milestones.diagrams.recorder import Recorder
from milestones.errors import UserError
from milestones.m2.test_residual_diagram import CONFIG, real, reference, weights
from milestones.m4.diagram import cache as diagram
from milestones.m4.diagram import held, recorded
from milestones.m7.loop import Loop
from tests.small_device import small_device

LAYERS, PROMPT, IDS = CONFIG.blocks, "5 17 80", [5, 17, 80]


@pytest.fixture(scope="module")
def device(whole_gpu):
    """A Device with a small model, whose text is a list of ids."""
    tensors = {name: whole_gpu.tensor(w) for name, w in weights().items()}
    tokenizer = SimpleNamespace(token_bytes=lambda token: b"%d" % token, ends=frozenset({2}))
    made = small_device(whole_gpu, CONFIG, tensors, tokenizer=tokenizer)
    made.loop = lambda **settings: Loop(whole_gpu, made.naive.model, **settings)
    return made


def step(device, appended, text=PROMPT, dtype="float32"):
    return diagram.step(device, text, appended, dtype)


def cell(device, appended, layer, token, dtype="float32"):
    return diagram.cell(device, PROMPT, appended, dtype, layer, token)


def told(answer):
    """What an answer says of the tokens, whatever loop it came from."""
    return answer["next"], answer["cached"]["rows"], answer["uncached"]["rows"], [one["id"] for one in answer["tokens"]]


def test_a_step_computes_one_row_a_layer_with_the_cache_and_all_without(device):
    """The prompt at first, either way; then 1 against all: so a line the one way, a square the other."""
    appended, rows = [], []
    for n in range(7):
        answer = step(device, appended)
        assert answer["start"] == (len(IDS) + n - 1 if n else 0) and answer["layers"] == LAYERS
        rows.append((answer["cached"]["rows"], answer["uncached"]["rows"]))
        assert answer["cached"]["ms"] > 0 and answer["uncached"]["ms"] > 0
        appended = [*appended, answer["next"][n % 5]["id"]]
    assert rows == [(3, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (1, 9)]


@pytest.mark.parametrize("appended", [[], [9], [9, 33, 4]])
def test_what_may_come_next_is_what_pytorch_says(device, appended):
    logits = reference([*IDS, *appended]).logits[-1]
    p = logits.softmax(0)
    answer = step(device, appended)
    assert [one["id"] for one in answer["next"]] == logits.argsort(descending=True)[: diagram.NEXT].tolist()
    for one in answer["next"]:
        assert one["p"] == pytest.approx(float(p[one["id"]]), rel=1e-4) and one["text"] == str(one["id"])
    assert answer["apart"] < 1e-4


def test_a_cell_is_pytorchs_key_and_value_of_that_token_in_that_layer(device):
    """So no cell can be another token's or another layer's: all of them differ."""
    appended = [9, 33]
    seen = reference([*IDS, *appended])
    for layer in range(LAYERS):
        for token in range(5):
            answer = cell(device, appended, layer, token)
            for name, row in (("k", seen.keys[layer][token]), ("v", seen.values[layer][token])):
                np.testing.assert_allclose(answer[name]["elements"], row[0, : diagram.ELEMENTS], rtol=1e-4, atol=1e-4)
                np.testing.assert_allclose(answer[name]["anew"], row[0, : diagram.ELEMENTS], rtol=1e-4, atol=1e-4)
                np.testing.assert_allclose(answer[name]["norms"], row.norm(dim=1), rtol=1e-4)
                assert answer[name]["apart"] <= 1e-5


def test_a_cache_of_halves_keeps_the_nearest_halves_and_takes_half_the_bytes(device):
    """In layer 0 the rows do not depend on what was rounded before."""
    whole, half = (step(device, [9], dtype=dtype)["memory"] for dtype in ("float32", "float16"))
    row = LAYERS * 2 * CONFIG.kv_heads * CONFIG.head_dim
    assert whole["token"] == 4 * row and half["token"] == 2 * row
    assert whole["used"] == 4 * whole["token"] and whole["allocated"] == held.LIMIT * whole["token"]
    assert whole["full"] == CONFIG.context * whole["token"]
    kept = cell(device, [9], 0, 1, "float16")["k"]
    assert np.array_equal(kept["elements"], np.float16(kept["anew"]))
    assert 0 < kept["apart"] <= kept["largest"] * 2.0**-11


def test_a_rewind_leaves_the_memory_and_what_comes_after_is_what_a_new_text_gives(device):
    step(device, [9, 33, 4])
    answer = diagram.rewind(device, PROMPT, [9, 33, 4], "float32", 4)
    assert (answer["was"], answer["length"]) == (6, 4)
    assert answer["allocated"] == step(device, [9])["memory"]["allocated"]
    diagram.rewind(device, PROMPT, [9, 33, 4], "float32", 4)
    after = step(device, [9, 60])
    assert after["origin"] == {"copied": 0, "fed": 0}, "the loop that was rewound is the one that is stepped"
    logits = reference([*IDS, 9, 60]).logits[-1]
    assert after["next"][0]["id"] == int(logits.argmax())


def test_a_fork_goes_its_own_way_and_neither_disturbs_the_other(device):
    before = step(device, [9, 33])
    answer = diagram.fork(device, PROMPT, [9, 33], "float32")
    assert answer["length"] == 5 and answer["bytes"] == 5 * before["memory"]["token"]
    one, other = step(device, [9, 33, 4]), step(device, [9, 33, 60])
    assert one["origin"] == other["origin"] == {"copied": 0, "fed": 0}, "both were there"
    for appended, mine in (([9, 33, 4], one), ([9, 33, 60], other)):
        ids = [*IDS, *appended]
        assert mine["next"][0]["id"] == int(reference(ids).logits[-1].argmax())
        assert cell(device, appended, 2, 5)["k"]["apart"] <= 1e-5
    assert one["next"] != other["next"]


@pytest.mark.parametrize("kept", [1, 2, 8])
def test_two_pages_in_turn_see_what_each_sees_alone(device, monkeypatch, kept):
    """However few loops are kept: a request names all its tokens, so a loop that is gone is made again."""
    texts = {"a": (PROMPT, [9, 33, 4, 7]), "b": (PROMPT, [9, 60, 4, 7]), "c": ("7 17", [9, 33, 4, 7])}
    alone = {name: [told(step(device, rest[:n], text)) for n in range(5)] for name, (text, rest) in texts.items()}
    monkeypatch.setattr(held, "KEPT", kept)
    for n in range(5):
        for name, (text, rest) in texts.items():
            assert told(step(device, rest[:n], text)) == alone[name][n]
            assert len(device.kept("m4 cache", None)) <= kept


def test_of_a_longer_text_that_is_kept_the_common_rows_are_copied_and_the_rest_is_fed(device):
    step(device, [9, 33, 4, 7, 11, 12])
    answer = step(device, [9, 33, 4, 61, 11])
    assert answer["origin"] == {"copied": 6, "fed": 1}
    assert answer["cached"]["rows"] == 1, "what is made again is no part of the step"


def test_the_end_of_a_text_and_its_prompt_are_told(device):
    assert step(device, [9, 2])["ended"] and not step(device, [9])["ended"]
    assert step(device, [9])["prompt"] == 3 and not step(device, [], "5 2")["ended"]


def test_what_does_not_fit_is_refused_in_words(device):
    long = " ".join(["5"] * (diagram.LONGEST + 1))
    for words, ask in [
        ("shorten it", lambda: step(device, [], long)),
        ("more than this picture’s 96", lambda: step(device, [5] * 94)),
        ("vocabulary, 0 to 82", lambda: step(device, [83])),
        ("from 3, the prompt, to 4", lambda: diagram.rewind(device, PROMPT, [9], "float32", 2)),
        ("from 3, the prompt, to 4", lambda: diagram.rewind(device, PROMPT, [9], "float32", 5)),
        ("layer must be below 3 and token below 4", lambda: cell(device, [9], 3, 0)),
        ("layer must be below 3 and token below 4", lambda: cell(device, [9], 0, 4)),
    ]:
        with pytest.raises(UserError, match=words):
            ask()


@pytest.mark.slow
def test_the_real_models_keys_and_values_are_pytorchs(model_path):
    """The model of the page, after the prompt and four steps: all rows of the layers at both ends and between."""
    from milestones.diagrams.device import Device

    need_device()
    device, text, appended = Device(model_path), "The cat sat on the", []
    for _ in range(4):
        appended.append(diagram.step(device, text, appended, "float32")["next"][0]["id"])
    seen = real(device, [*device.encode(text), *appended])
    for layer in (0, 13, 29):
        for token in range(9):
            answer = diagram.cell(device, text, appended, "float32", layer, token)
            for name, rows in (("k", seen.keys), ("v", seen.values)):
                row = rows[layer][token]
                np.testing.assert_allclose(answer[name]["norms"], row.norm(dim=1), rtol=1e-3)
                np.testing.assert_allclose(
                    answer[name]["elements"], row[0, : diagram.ELEMENTS], atol=1e-3 * float(row.abs().max())
                )
    assert diagram.step(device, text, appended, "float32")["next"][0]["id"] == int(seen.logits[-1].argmax())


def test_a_recording_holds_every_step_fork_rewind_and_cell_of_its_walk(device, monkeypatch):
    """A site without an engine finds them by what each depends on: a cell by the tokens up to its own alone."""
    for name, less in {"EXAMPLES": (("Three", PROMPT), ("Too many", "1 " * 49)), "GROWN": 3, "FORKED": 2}.items():
        monkeypatch.setattr(recorded, name, less)
    recorder = Recorder(device, diagram.DIAGRAM)
    recorded.recording(recorder)
    assert list(recorder.left_out) == ["1 " * 49] and list(recorder.data["examples"]) == [PROMPT]
    found = recorder.data["examples"][PROMPT]
    trunk, steps = [], found["steps"]
    for _ in range(recorded.GROWN):
        trunk.append(steps[",".join(map(str, trunk))]["float32"]["next"][0]["id"])
    branch = [*trunk, steps[",".join(map(str, trunk))]["float32"]["next"][1]["id"]]
    for appended in (trunk, branch, [*branch, steps[",".join(map(str, branch))]["float32"]["next"][0]["id"]]):
        one = steps[",".join(map(str, appended))]
        assert one["token"]["id"] == appended[-1]
        for dtype in diagram.DTYPES:
            assert one[dtype]["next"] == step(device, appended, dtype=dtype)["next"]
    most = len(branch) + 1
    for dtype in diagram.DTYPES:
        assert len(found["forks"][dtype]) == most + 1 and min(found["forks"][dtype]) > 0
        assert [len(one) for one in found["rewinds"][dtype]] == list(range(1, most + 2))
    assert sorted(one["number"] for one in steps.values()) == list(range(len(steps)))
    rows = np.frombuffer(recorder.files[found["file"]], "<f4").reshape(len(IDS) - 1 + len(steps), 2, LAYERS, -1)
    for appended, token, row in (
        ([], 2, 2),
        (trunk, 1, 1),
        (branch, 6, len(IDS) - 1 + steps[",".join(map(str, branch))]["number"]),
    ):
        for number, dtype in enumerate(diagram.DTYPES):
            told = cell(device, appended, 1, token, dtype)
            names = ("norms", "elements", "anew", "apart", "largest")
            wanted = np.concatenate([np.atleast_1d(told[half][name]) for half in "kv" for name in names])
            np.testing.assert_array_equal(rows[row, number, 1], wanted.astype(np.float32))
