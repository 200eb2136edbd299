"""Attention's page: every control by mouse and by keyboard, and all that is shown is the engine's answer."""

from __future__ import annotations

import re

import pytest

from milestones.m2.diagram import attention as diagram
from milestones.m2.diagram.passes import TOKENS
from tests.browser.conftest import percent, visible

expect = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright").expect
pytestmark = pytest.mark.slow
NAME = "attention"
PROMPT = "The cat sat on the mat because it was tired."


@pytest.fixture
def compare(device):
    """The page must come to show what the engine says of this choice; all its parts are then compared."""

    def check(page, text=PROMPT, *, layer=13, head=8, query=7, masked=True):
        maps = diagram.maps(device, text, layer, masked)
        told = diagram.look(device, text, layer, head, query, masked)
        names = [visible(token["text"]) for token in maps["tokens"]]
        weights = told["weight"].astype(float)
        most = int(weights.argmax())
        words = f"Layer {layer}, head {head}: “{names[query]}”, token {query}, looks most at “{names[most]}”, token {most}: "
        expect(page.locator("[data-shown=verdict]")).to_have_text(words + percent(weights[most]) + ".")
        said = ["masked" if masked and at > query else percent(weight) for at, weight in enumerate(weights)]
        expect(page.locator(".chip .piece")).to_have_text(names, use_inner_text=True)
        expect(page.locator(".chip .id")).to_have_text(said)
        assert page.locator('.chip[aria-pressed="true"] .piece').all_inner_texts() == [names[query]]
        lines = page.locator(".looks tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.children].map(c => c.textContent))"
        )
        numbers = ([f"{n:.2f}" for n in told[key].tolist()] for key in ("score", "value", "part"))
        wanted = zip(names, said, *numbers, strict=True)
        assert lines == [[n, score.replace("-", "−"), weight, value, part] for n, weight, score, value, part in wanted]
        assert page.locator('.head[aria-pressed="true"]').all_inner_texts() == [f"head {head}"]
        shared = page.get_by_role("group", name=f"Heads that read keys and values {told['kv_head']}")
        expect(shared.locator('.head[aria-pressed="true"]')).to_have_count(1)
        expect(page.locator("[data-shown=sharing]")).to_contain_text(f"head {head} reads number {told['kv_head']}")
        expect(page.locator("[data-shown=output]")).to_contain_text(f"= output, length {told['norm']:.3f}")
        parts = page.locator("[data-shown=part]").all_inner_texts()
        assert len(parts) == len(told["parts"]) + bool(told["others"]["count"])
        for part, line in zip(told["parts"], parts, strict=False):
            assert f"{percent(weights[part['token']])} × value of “{names[part['token']]}”" in line
        squares(page.locator(".map path:not(.future)"), maps["weights"][head])
        squares(page.locator(".head path:not(.future)").nth(0), maps["weights"][0])
        hatched = page.locator(".map path.future").get_attribute("d")
        assert len(re.findall("M", hatched)) == (len(names) * (len(names) - 1) // 2 if masked else 0)

    return check


def squares(path, weights):
    """Each square's area is its weight."""
    drawn = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v", path.get_attribute("d"))
    found = {(int(float(y)), int(float(x))): float(side) ** 2 for x, y, side in drawn}
    wanted = {(t, s): w for t, row in enumerate(weights.tolist()) for s, w in enumerate(row) if w >= 0.002}
    assert found.keys() == wanted.keys()
    assert all(abs(found[at] - wanted[at]) < 0.002 for at in wanted)


def test_the_first_picture_is_the_engines(page, compare):
    compare(page)


def test_the_layer_is_chosen_by_keyboard_and_by_mouse(page, compare):
    slider = page.get_by_label("Layer")
    slider.press("ArrowLeft")
    compare(page, layer=12)
    slider.press("End")
    compare(page, layer=29)
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
    compare(page, layer=0)
    assert slider.get_attribute("aria-valuetext") == "0, of 0 to 29"


def test_the_mask_is_switched_by_keyboard_and_by_mouse(page, compare):
    mask = page.get_by_role("switch", name="Causal mask")
    mask.press("Space")
    compare(page, masked=False)
    assert "queries, keys and values of the causal run" in page.inner_text(".stage")
    mask.click()
    compare(page)


def test_a_head_is_chosen_by_keyboard_and_by_mouse_and_keeps_the_focus(page, compare):
    page.get_by_role("button", name="head 3").click()
    compare(page, head=3)
    fifth = page.get_by_role("button", name="head 5")
    fifth.press("Enter")
    compare(page, head=5)
    expect(fifth).to_be_focused()


def test_the_query_is_chosen_by_its_chip_and_by_the_row_of_the_map(page, compare):
    page.get_by_role("button", name="·tired, token 9").click()
    compare(page, query=9)
    chip = page.get_by_role("button", name="·on, token 3")
    chip.press("Enter")
    compare(page, query=3)
    expect(chip).to_be_focused()
    rows = page.get_by_role("slider", name="Query, a row of the heat map")
    rows.press("ArrowDown")
    compare(page, query=4)
    assert rows.get_attribute("aria-valuetext") == "token 4, ·the"
    rows.press("End")
    compare(page, query=10)
    rows.press("ArrowDown")  # there is no later one
    rows.press("Home")
    compare(page, query=0)
    rows.press("ArrowRight")
    rows.press("ArrowUp")
    compare(page, query=0)
    expect(rows).to_be_focused()
    cells = rows.locator("rect.sunk").bounding_box()
    page.mouse.click(cells["x"] + cells["width"] / 2, cells["y"] + 6.5 / 11 * cells["height"])
    compare(page, query=6)


def test_another_prompt_is_looked_at_and_the_query_stays_within_it(page, compare):
    prompt = page.get_by_label("Prompt")
    prompt.fill("Hello there")
    compare(page, "Hello there", query=1)
    prompt.press("End")
    prompt.press_sequentially(" again,\nmy 🙃")
    compare(page, "Hello there again,\nmy 🙃", query=1)
    prompt.fill("a")
    compare(page, "a", query=0)


def test_a_prompt_that_is_refused_leaves_the_picture_and_says_why(page, compare):
    prompt = page.get_by_label("Prompt")
    for text, words in [
        (" a" * (TOKENS + 1), f"this diagram takes {TOKENS}"),
        ("", "The text is empty"),
        ("x" * 5000, "5,000 bytes"),
    ]:
        prompt.fill(text)
        expect(page.get_by_role("alert")).to_contain_text(words)
    prompt.fill(PROMPT)
    compare(page)
    expect(page.locator(".problem")).to_be_hidden()


def test_a_change_is_announced(page):
    page.get_by_role("switch", name="Causal mask").press("Space")
    expect(page.locator("#announcer")).to_contain_text("Layer 13, head 8:")
