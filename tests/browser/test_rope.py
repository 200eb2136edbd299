"""RoPE's page: every control by mouse and by keyboard, and all that is shown is the engine's answer."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from milestones.m2.diagram import rope as diagram
from milestones.m2.diagram.passes import TOKENS
from tests.browser.conftest import drag, slide

expect = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright").expect
pytestmark = pytest.mark.slow
NAME = "rope"
PROMPT = "The cat sat on the mat because it was tired."
FIRST = {"layer": 13, "head": 8, "query": 7, "key": 1, "pair": 3, "position": 1, "distance": 6}


def number(value, places):
    return f"{value:.{places}f}".replace("-", "−")


@pytest.fixture
def compare(device):
    """The page must come to show what the engine says of this choice; all its parts are then compared."""

    def check(page, text=PROMPT, **changed):
        chosen = FIRST | changed
        told = diagram.look(device, text, **chosen)
        pair, position, distance = chosen["pair"], chosen["position"], chosen["distance"]
        names = [token["text"].replace(" ", "·") for token in told["tokens"]]
        words = (
            f"The query of “{names[told['query']]}” at {position + distance}, the key of “{names[told['key']]}” at {position}: "
            f"q · k / √d is {number(told['score'], 3)}, of which pair {pair} gives "
            f"{number(told['by_distance']['part'][distance], 3)}."
        )
        expect(page.locator("[data-shown=verdict]")).to_have_text(words)
        for label, at in (("Query of", told["query"]), ("Key of", told["key"])):
            assert page.get_by_label(label).evaluate("one => one.selectedOptions[0].textContent") == f"{at}: {names[at]}"
        hands(page, told, pair)
        arrows(page, told)
        curves(page, told, distance)
        expect(page.locator("[data-shown=angle]")).to_contain_text(f"Pair {pair} turns by ")
        shown = float(re.search(r"turns by ([\d.e-]+) radians", page.inner_text("[data-shown=angle]")).group(1))
        assert math.isclose(shown, told["radians"][pair], rel_tol=0.005)
        by = told["by_position"]
        assert page.locator("details .looks tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.children].map(c => c.textContent))"
        ) == [
            [f"{place:,}", f"{place + distance:,}", number(float(score), 5), number(part, 5)]
            for place, score, part in zip(by["position"], by["score"], by["part"], strict=True)
        ]
        assert f"from position 0 to {by['position'][-1]:,}" in page.inner_text("[data-shown=flat]")

    return check


def hands(page, told, pair):
    """A dial for each pair, with a hand at the query's angle and one at the key's; the chosen one is marked."""
    assert page.locator(".dial").count() == told["pairs"]
    assert page.locator(".dial.now").get_attribute("data-pair") == str(pair)
    for name in ("q", "k"):
        drawn = page.locator(f".dial path.{name}").evaluate_all("all => all.map(one => one.getAttribute('d'))")
        found = np.array([[float(n) for n in d.split("l")[1].split()] for d in drawn]) / (0.4, -0.4)
        assert np.abs(found - told["hands"][name]).max() < 0.001


def arrows(page, told):
    longest = max(np.hypot(*told["turned"][name]) for name in "qk")
    for name in ("q", "k"):
        for kind, vector in (("", told["turned"][name]), (".before", told["plain"][name])):
            path = page.locator(f".arrows path.{name}{kind or ':not(.before)'}").get_attribute("d")
            found = np.array([float(n) for n in path.split("L")[1].split()]) * (longest, -longest)
            assert np.abs(found - vector).max() < 0.001 * longest
    assert page.locator(".arrows .dot").count() == len(told["trail"])


def curves(page, told, distance):
    """A curve is the numbers, moved and stretched: heights on the page and scores are one line."""
    for name, by in (("by-distance", told["by_distance"]), ("by-position", told["by_position"])):
        heights, values = [], []
        for kind in ("score", "part"):
            path = page.locator(f"[data-shown={name}] path.{kind}").get_attribute("d")
            heights += [float(point.split()[1]) for point in re.findall(r"[\d.]+ [\d.]+", path)]
            values += np.asarray(by[kind], float).tolist()
        assert len(heights) == len(values)
        slope, zero = np.polyfit(values, heights, 1)
        assert slope < 0 and np.abs(slope * np.array(values) + zero - heights).max() < 0.02
    at = page.locator("[data-shown=by-distance] .point").get_attribute("cx")
    assert abs(float(at) - (44 + 286 * distance / diagram.FARTHEST)) < 0.01


def test_the_first_picture_is_the_engines(page, compare):
    compare(page)


SLIDERS = [("Layer", "layer", 29), ("Head", "head", 8), ("Pair", "pair", 31), ("Position of the key", "position", 200)]


@pytest.mark.parametrize(("label", "name", "most"), [*SLIDERS, ("Distance to the query", "distance", 63)])
def test_a_slider_is_moved_by_keyboard_and_by_mouse(page, compare, label, name, most):
    slide(page, label, "Home")
    compare(page, **{name: 0})
    slide(page, label, "ArrowRight", 2)
    compare(page, **{name: 2})
    drag(page, label, 1.0)
    compare(page, **{name: most})


def test_a_pair_is_chosen_by_its_dial(page, compare):
    page.locator(".dial[data-pair='9']").click()
    compare(page, pair=9)
    assert page.get_by_role("slider", name="Pair").input_value() == "9"


def test_tokens_that_are_chosen_stand_where_they_do_in_the_prompt(page, compare):
    page.get_by_label("Query of").select_option("9")
    compare(page, query=9, position=1, distance=8)
    page.get_by_label("Key of").focus()
    page.keyboard.press("ArrowDown")
    compare(page, query=9, key=2, position=2, distance=7)
    page.get_by_label("Query of").select_option("0")  # it would not see that key: both are put at one place
    compare(page, query=0, key=2, position=2, distance=0)


def test_another_prompt_has_other_tokens(page, compare):
    prompt = page.get_by_label("Prompt")
    prompt.fill("Hello there, you and I")
    compare(page, "Hello there, you and I", query=5, position=1, distance=4)
    prompt.fill("Hi")
    compare(page, "Hi", query=0, key=0, position=0, distance=0)


def test_a_prompt_that_is_refused_leaves_the_picture_and_says_why(page, compare):
    prompt = page.get_by_label("Prompt")
    for text, words in [(" a" * (TOKENS + 1), f"this diagram takes {TOKENS}"), ("", "The text is empty")]:
        prompt.fill(text)
        expect(page.get_by_role("alert")).to_contain_text(words)
    prompt.fill(PROMPT)
    expect(page.locator(".problem")).to_be_hidden()
    compare(page)


def test_with_the_distance_kept_the_score_stays_and_says_so(page, device):
    told = diagram.look(device, PROMPT, **FIRST)
    slide(page, "Position of the key", "End")
    expect(page.locator("[data-shown=verdict]")).to_contain_text(f"at 200: q · k / √d is {number(told['score'], 3)}")
    expect(page.locator("#announcer")).to_contain_text("The query of “·it” at 206")
    expect(page.locator("[data-shown=flat]")).to_contain_text(re.compile("no two differ by more than . · 10⁻"))
