"""The exported pages on m2's and m4's kernels: without an engine they answer what it does, within the bounds of its specs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from milestones.diagrams.site import encoded
from milestones.m2.diagram import attention, residual, rope
from milestones.m2.diagram.passes import EXAMPLES, passed
from milestones.m2.test_attention import expected
from milestones.m2.test_attention_diagram import reference
from milestones.m4.diagram import cache
from reference.compare import assert_close
from reference.tolerance import EXTRA, TINY, sum_bound
from tests.browser import test_cache, test_residual
from tests.browser.conftest import press, slide

expect = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright").expect
pytestmark = pytest.mark.slow
TEXTS = [text for _, text in EXAMPLES]
EPSILON = 2.0**-23
SAME = 1e-12  # what float64 sums may differ by, in another order


@pytest.fixture(scope="module")
def page(keep_exported):
    return keep_exported("index")


def told(page, name, endpoint, **request):
    """What an exported page is told, as its own scripts tell it."""
    words = """async ([name, endpoint, request]) =>
        (await (await import('./replay.js')).recorded({ name }, endpoint, request)).at(-1)"""
    return page.evaluate(words, [name, endpoint, request])


def plain(answer):
    """An engine's answer as a page hears it."""
    return json.loads(encoded(answer))


@pytest.mark.parametrize("masked", [True, False], ids=["causal", "all"])
@pytest.mark.parametrize(("text", "layer"), [(TEXTS[0], 0), (TEXTS[0], 13), (TEXTS[1], 29), (TEXTS[2], 7)], ids=str)
def test_the_maps_computed_in_the_page_are_the_engines(page, device, text, layer, masked):
    """Both are rounded to four places; before that the engine errs by no more than the spec of its kernel allows."""
    found, answer = (
        told(page, "attention", "maps", text=text, layer=layer, masked=masked),
        attention.maps(device, text, layer, masked),
    )
    weights = answer.pop("weights")
    _, allowed = reference(passed(device, device.encode(text)), layer, masked=masked)
    assert_close(np.array(found.pop("weights"), float), weights, allowed + 1.0001e-4)
    assert found == plain(answer) and weights.max() > 0.5


LOOKS = [(TEXTS[0], 13, 8, 7), (TEXTS[0], 0, 0, 10), (TEXTS[1], 29, 5, 4), (TEXTS[2], 7, 3, 0), (TEXTS[2], 20, 1, 11)]


@pytest.mark.parametrize("masked", [True, False], ids=["causal", "all"])
@pytest.mark.parametrize(("text", "layer", "head", "query"), LOOKS, ids=str)
def test_what_a_query_makes_of_every_token_in_the_page_is_the_engines(page, device, text, layer, head, query, masked):
    asked = {"text": text, "layer": layer, "head": head, "query": query, "masked": masked}
    found, answer = told(page, "attention", "look", **asked), attention.look(device, **asked)
    seen, shared = passed(device, device.encode(text)), answer["kv_head"]
    q, k, v = seen.q[layer], seen.k[layer], seen.v[layer]
    allowed = reference(seen, layer, masked=masked)[1][head, query]
    size = np.abs(k[:, shared].astype(np.float64)) @ np.abs(q[query, head].astype(np.float64)) / 8
    assert found["kv_head"] == shared and found["others"]["count"] == answer["others"]["count"]
    assert_close(
        np.array(found["score"], float), answer["score"].astype(np.float64), sum_bound("matmul", 64, size) + EPSILON * size
    )
    assert_close(np.array(found["weight"], float), answer["weight"].astype(np.float64), allowed)
    assert_close(np.array(found["value"], float), answer["value"], SAME * answer["value"])
    assert_close(np.array(found["part"], float), answer["part"], allowed * answer["value"] + TINY)
    assert [one["token"] for one in found["parts"]] == [one["token"] for one in answer["parts"]]
    for mine, own in zip(found["parts"], answer["parts"], strict=True):
        assert_close(
            np.array(mine["vector"], float), own["vector"], allowed[own["token"]] * np.abs(v[own["token"], shared]) + TINY
        )
    room = allowed @ np.abs(v[:, shared].astype(np.float64)) + TINY
    assert_close(np.array(found["others"]["vector"], float), answer["others"]["vector"], room)
    if masked:
        assert found["output"] == answer["output"].tolist(), "what the model's own run gave is recorded"
    else:
        own = expected(np.repeat(q[query : query + 1], len(q), axis=0), k, v)[1][-1, head]  # a query at the last place sees all
        assert_close(np.array(found["output"], float), answer["output"].astype(np.float64), own)
    assert found["norm"] == pytest.approx(answer["norm"], abs=np.linalg.norm(room) + len(q) * EPSILON * answer["norm"])
    assert answer["norm"] > 0.1


USUAL = {"text": TEXTS[0], "layer": 13, "head": 8, "query": 7, "key": 1, "pair": 3, "position": 1, "distance": 6}
TURNS = [
    {},
    {"layer": 0, "head": 0, "query": 10, "key": 10, "pair": 0, "position": 0, "distance": 0},
    {"pair": 31, "distance": 63},
    {"text": TEXTS[1], "layer": 29, "head": 4, "pair": 12, "position": 200, "distance": 63},
    {"text": TEXTS[2], "layer": 5, "pair": 1},
]  # fmt: skip


@pytest.mark.parametrize("changed", TURNS, ids=str)
def test_turns_and_scores_computed_in_the_page_are_the_engines(page, device, changed):
    """A turned element errs by 11 ε of its pair's two (the spec of rope), which are at most √2 of the pair's length; two turned
    vectors' product errs by both, so by 44 ε of the lengths multiplied, and by its own d products and d sums.
    """
    asked = USUAL | changed
    found, answer = told(page, "rope", "look", **asked), plain(rope.look(device, **asked))
    for name in ("tokens", "query", "key", "blocks", "heads", "pairs", "plain"):
        assert found[name] == answer[name], name
    assert found["by_position"]["position"] == answer["by_position"]["position"]
    assert_close(np.array(found["radians"], float), np.array(answer["radians"], float), SAME)
    turning = rope.Turning(device, passed(device, device.encode(asked["text"])), asked["layer"])
    q = np.linalg.norm(turning.pairs(turning.q[answer["query"], asked["head"]]).astype(np.float64), axis=-1)
    k = np.linalg.norm(turning.pairs(turning.k[answer["key"], asked["head"] // 3]).astype(np.float64), axis=-1)
    element = EXTRA["rope"] * 2**0.5 * EPSILON
    for name, size in (("q", q), ("k", k)):
        assert_close(np.array(found["hands"][name], float), np.array(answer["hands"][name], float), element)
        assert_close(
            np.array(found["turned"][name], float), np.array(answer["turned"][name], float), element * size[asked["pair"]]
        )
    assert_close(np.array(found["trail"], float), np.array(answer["trail"], float), element * q[asked["pair"]])
    room = 48 * EPSILON * q * k / 8
    for way in ("by_distance", "by_position"):
        assert_close(np.array(found[way]["part"], float), np.array(answer[way]["part"], float), room[asked["pair"]])
        assert_close(np.array(found[way]["score"], float), np.array(answer[way]["score"], float), (64 / 48 + 1) * room.sum())
    assert found["score"] == found["by_distance"]["score"][asked["distance"]]
    assert np.ptp(answer["by_distance"]["score"]) > 0.1 or changed, "there is something to compare"


@pytest.mark.parametrize("part", residual.PARTS)
@pytest.mark.parametrize(
    ("text", "token", "layer"), [(TEXTS[0], 7, 10), (TEXTS[0], 0, 29), (TEXTS[1], 5, 0), (TEXTS[2], 11, 17)], ids=str
)
def test_norms_computed_in_the_page_are_the_engines(page, device, text, token, layer, part):
    """A norm errs by (n / 2 + 8) ε of itself (the spec of rms_norm); a recorded length is a float32."""
    asked = {"text": text, "token": token, "layer": layer, "part": part}
    found, answer = told(page, "residual", "look", **asked), residual.look(device, **asked)
    relative = (answer["vectors"]["x"].size / 2 + EXTRA["rms_norm"]) * EPSILON
    assert found["vectors"].keys() == answer["vectors"].keys() and found["vectors"]["x"] == answer["vectors"]["x"].tolist()
    for name in ("divided", "normed"):
        own = answer["vectors"][name].astype(np.float64)
        assert_close(np.array(found["vectors"][name], float), own, relative * np.abs(own) + TINY)
    for name, allowed in {"x": SAME, "weight": SAME, "divided": relative, "normed": relative}.items():
        assert found["rms"][name] == pytest.approx(answer["rms"][name], rel=allowed)
    assert [one["at"] for one in found["largest"]] == [one["at"] for one in answer["largest"]]
    for mine, own in zip(found["largest"], answer["largest"], strict=True):
        assert mine == pytest.approx(own, rel=relative)
    for name in ("share", "length", "after", "eps"):
        assert found[name] == pytest.approx(answer[name], rel=SAME)
    for name in ("added", "without"):
        assert found[name] == pytest.approx(answer[name], rel=EPSILON)


@pytest.mark.parametrize("text", TEXTS)
def test_lengths_of_the_stream_in_the_page_are_the_engines(page, device, text):
    """To six digits, as the engine says them."""
    found, answer = told(page, "residual", "norms", text=text), plain(residual.norms(device, text))
    for name in ("before", "between", "attention", "ffn"):
        np.testing.assert_allclose(found.pop(name), answer.pop(name), rtol=1e-5)
    assert found == answer


PROMPT = test_cache.PROMPT


def greedy(device, steps, appended=(), dtype="float32"):
    """The likeliest tokens after the prompt and these."""
    found = list(appended)
    for _ in range(steps):
        found.append(cache.step(device, PROMPT, found, dtype)["next"][0]["id"])
    return found


def second(device, appended):
    return [*appended, cache.step(device, PROMPT, appended, "float32")["next"][1]["id"]]


@pytest.mark.parametrize("dtype", cache.DTYPES)
@pytest.mark.parametrize("way", ["prompt", "three likeliest", "second likeliest", "after the second"])
def test_a_recorded_step_is_the_engines_but_for_its_milliseconds(page, device, way, dtype):
    branch = second(device, greedy(device, 2))
    appended = (
        {"prompt": [], "three likeliest": greedy(device, 3), "second likeliest": branch}.get(way)
        if way != "after the second"
        else greedy(device, 1, branch)
    )
    asked = {"text": PROMPT, "appended": appended, "dtype": dtype}
    found, answer = told(page, "cache", "step", **asked), plain(cache.step(device, **asked))
    for one in (found, answer):
        assert all(one[kind].pop("ms") > 0 for kind in ("cached", "uncached"))
        one.pop("origin")
    assert found == answer


@pytest.mark.parametrize("dtype", cache.DTYPES)
def test_a_cell_is_the_engines_however_many_tokens_came_after_it(page, device, dtype):
    """So one recorded row is the answer for every text that begins like this."""
    trunk = greedy(device, 4)
    branch = second(device, trunk[:2])
    for appended, layer, token in [
        ([], 0, 4),
        (trunk, 0, 4),
        (trunk, 29, 0),
        (trunk, 13, 6),
        (trunk[:2], 13, 6),
        (branch, 29, 7),
    ]:
        asked = {"text": PROMPT, "appended": appended, "dtype": dtype, "layer": layer, "token": token}
        found, answer = told(page, "cache", "cell", **asked), plain(cache.cell(device, **asked))
        for half in "kv":
            for name, numbers in answer.pop(half).items():
                assert found[half][name] == pytest.approx(numbers, rel=EPSILON), (asked, half, name)
            found.pop(half)
        assert found == answer


@pytest.mark.parametrize("dtype", cache.DTYPES)
def test_a_rewind_and_a_fork_are_the_engines_but_for_their_milliseconds(page, device, dtype):
    asked = {"text": PROMPT, "appended": greedy(device, 4), "dtype": dtype}
    for endpoint, more in [("rewind", {"to": 5}), ("rewind", {"to": 8}), ("fork", {})]:
        found, answer = told(page, "cache", endpoint, **asked, **more), plain(getattr(cache, endpoint)(device, **asked, **more))
        for one in (found, answer):
            assert one.pop("ms") > 0
            one.pop("origin")
        assert found == answer


def test_the_pages_show_it_and_their_controls_move(keep_exported, device):
    page = keep_exported("attention")
    page.get_by_label("Layer").press("End")
    page.get_by_role("switch", name="Causal mask").press("Space")
    press(page, "Capitals", by="mouse")
    weight = attention.look(device, TEXTS[2], 29, 8, 7, False)["weight"]
    expect(page.locator("[data-shown=verdict]")).to_contain_text(f"token {weight.argmax()}: {100 * weight.max():.1f} %")
    page = keep_exported("rope")
    slide(page, "Distance to the query", "End")
    score = f"{rope.look(device, **USUAL | {'distance': 63})['score']:.3f}".replace("-", "−")
    expect(page.locator("[data-shown=verdict]")).to_contain_text(f"q · k / √d is {score}")
    page = keep_exported("residual")
    test_residual.shows(page, device)
    slide(page, "Layer", "End")
    test_residual.shows(page, device, layer=29)


def test_the_loop_is_stepped_forked_and_rewound_without_an_engine(keep_exported, device):
    one = test_cache.Cache(keep_exported("cache"), device)
    one.holds(5)
    one.press("Step")
    one.holds(6)
    one.press("Step", "keyboard")
    one.holds(7)
    assert one.row("cached")[:2] == ["1", "7"] and one.row("uncached")[:2] == ["7", "18"]
    one.press("Fork")
    one.says("did", "the rows of 7 tokens, copied in")
    one.press("Step")
    one.holds(8)
    words = cache.step(device, PROMPT, second(device, greedy(device, 2)), "float32")["tokens"][-1]["text"]
    assert one.cells.locator(".prompt mark").last.inner_text() == words.replace(" ", "·")
    slide(one.page, "Rewind to", "Home")
    one.press("Rewind")
    one.says("did", "Rewound from 8 to 5 tokens in ")
    one.page.get_by_label("Numbers in the cache").select_option("float16")
    one.says("did", "with float16 in the cache: its logits differ")
    one.says("cell", "token 4 of 5")
    assert not one.page.locator(".problem").inner_text()


def test_a_step_that_was_not_recorded_is_said_in_words(keep_exported, device):
    page = keep_exported("cache")
    page.get_by_label("Next token").select_option(index=4)
    press(page, "Step", by="mouse")
    expect(page.get_by_role("alert")).to_contain_text("This page is a recording, and of this there is none")


def test_a_page_says_what_is_recorded_and_what_it_computes(keep_exported):
    words = {
        "attention": "computed from them in the page", "rope": "in 64-bit floats", "residual": "are recorded for the examples",
        "cache": "Nothing of this is computed in the page",
    }  # fmt: skip
    for name, said in words.items():
        found = keep_exported(name).locator(".warning").first.inner_text()
        assert re.match("A recording: the engine’s own numbers, for some texts", found) and said in found
