"""The journey's page: every control by mouse and by keyboard; tensors are the engine's, and the times shown add up."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from milestones.m7.diagram import journey as diagram
from tests.browser.conftest import drag, press, slide

sync_api = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright")
expect = sync_api.expect
pytestmark = pytest.mark.slow
NAME = "journey"
PROMPT = "The capital of France is"
PARTS = ("before", "block", "others", "after")


@pytest.fixture(scope="module")
def told(device):
    """What the engine says, but for the times: `told(text, kernels)`, each computed once."""
    held = {}

    def get(text, kernels):
        if (text, kernels) not in held:
            held[text, kernels] = diagram.journey(device, text, kernels)
        return held[text, kernels]

    return get


def size(n: int) -> str:
    return f"{n}\xa0B" if n < 1000 else f"{n / 1e3:.1f}\xa0kB" if n < 1e6 else f"{n / 1e6:.1f}\xa0MB"


def tensors(stages) -> list[str]:
    """Every tensor of the stages, as the page writes it."""
    return [
        f"{one['name']} {' × '.join(f'{n:,}' for n in one['shape'])} {one['type']}, {size(one['bytes'])}"
        for stage in stages
        for of in ("ins", "weights", "outs")
        for one in stage[of]
    ]


def times(place) -> list[Decimal]:
    """Milliseconds in the texts at a place."""
    return [
        Decimal(found.replace(",", ""))
        for text in place.all_inner_texts()
        for found in re.findall(r"([\d,]+\.\d{3})\sms", text)
    ]


def shows(page, told, text=PROMPT, kernels="naive", name="prompt", block=0):
    """The page shows this pass, in this detail. Returns its total, in milliseconds."""
    given = told(text, kernels)
    part = next(one for one in given["passes"] if one["name"] == name)
    verdict, chosen = page.locator("[data-shown=verdict]"), part["chosen"]
    count = sum(len(one["us"]) for one in part["before"] + part["after"]) + sum(
        len(stage) for one in part["blocks"] for stage in one["us"]
    )
    runs = count - (name == "prompt")  # the first stage is the host's
    expect(verdict).to_contain_text(f": {runs} kernel runs, ")
    expect(verdict).to_contain_text(f"It chooses “{chosen['text'].replace(' ', '·')}”, id {chosen['id']}, which the model")
    fed = given["tokens"] if name == "prompt" else [given["passes"][0]["chosen"]]
    assert page.locator(".chip .id").all_inner_texts() == [str(one["id"]) for one in fed]
    places = {one: page.locator(f"[data-shown={one}]") for one in PARTS}
    expect(places["block"].locator("h2")).to_contain_text(f"Block {block}, of 30: ")
    stages = {"before": part["before"], "block": part["kinds"][part["blocks"][block]["kind"]], "after": part["after"]}
    for one, of in stages.items():
        titles = places[one].locator("[data-shown=title]").all_inner_texts()
        assert [title.partition(". ")[2] for title in titles] == [stage["title"] for stage in of]
        assert [" ".join(t.split(" ")) for t in places[one].locator(".tensor").all_text_contents()] == tensors(of)
        links = [link for link in places[one].locator(".files-run a").all_text_contents() if link.endswith(".metal")]
        assert links == [file for stage in of for file in dict.fromkeys(f.removeprefix("milestones/") for f in stage["files"])]
    numbers = page.locator("[data-shown=title]").all_inner_texts()
    assert [int(title.partition(".")[0]) for title in numbers if "." in title] == list(range(1, len(numbers)))
    return adds_up(page, places)


def adds_up(page, places):
    (total,) = times(page.locator("[data-shown=verdict]"))
    sums = [sum(times(places[one].locator("[data-shown=time]"))) for one in PARTS]
    shown = times(page.locator("[data-shown=total]"))
    assert shown == [*sums, total] and sum(sums) == total and min(sums) > 0
    assert times(places["block"].locator("h2")) == [sums[1]]
    widths = places["block"].locator(".bar > i").evaluate_all("all => all.map((one) => parseFloat(one.style.width))")
    each = times(places["block"].locator("[data-shown=time]"))
    assert widths == pytest.approx([float(100 * one / sums[1]) for one in each], abs=0.01)
    return total


def test_the_page_begins_with_the_prompt_and_its_numbers(page, told):
    shows(page, told)
    assert page.locator(".chip .piece").all_inner_texts() == ["The", "·capital", "·of", "·France", "·is"]
    expect(page.locator("[data-shown=verdict]")).to_contain_text("“·Paris”, id 7042")
    for link in set(page.locator(".files-run a").evaluate_all("all => all.map((one) => one.href)")):
        assert page.request.get(link).ok, link


def test_the_block_by_key_and_by_drag_without_asking_the_engine(page, told):
    shows(page, told)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    slide(page, "Block in detail", "ArrowRight", 2)
    total = shows(page, told, block=2)
    expect(page.locator("#announcer")).to_contain_text("Block 2: ")
    drag(page, "Block in detail", 1.0)
    assert shows(page, told, block=29) == total and not asked


def test_the_pass_by_key_and_by_choice(page, told):
    choice = page.get_by_label("Pass")
    choice.focus()
    page.keyboard.press("ArrowDown")
    shows(page, told, name="decode")
    expect(page.locator("[data-shown=verdict]")).to_contain_text("The decode step of token 5, “·Paris”")
    choice.select_option("prompt")
    shows(page, told)


def test_the_fast_kernels_are_fewer_stages(page, told):
    kernels = page.get_by_label("Kernels")
    kernels.focus()
    page.keyboard.press("ArrowDown")
    shows(page, told, kernels="fast")
    page.get_by_label("Pass").select_option("decode")
    shows(page, told, kernels="fast", name="decode")
    slide(page, "Block in detail", "End")
    shows(page, told, kernels="fast", name="decode", block=29)
    kernels.select_option("naive")
    shows(page, told, name="decode", block=29)


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_measuring_again_gives_other_times_of_the_same_tensors(page, told, by):
    before = shows(page, told)
    press(page, "Measure again", by=by)
    expect(page.locator("[data-shown=verdict]")).not_to_contain_text(f"{before:,}")
    shows(page, told)


def test_an_example_and_a_typed_prompt_and_what_does_not_fit(page, told):
    press(page, "Two words", by="keyboard")
    shows(page, told, text="Hello brave")
    page.get_by_label("Kernels").select_option("fast")
    shows(page, told, text="Hello brave", kernels="fast")
    expect(page.locator("[data-shown=end]")).to_contain_text("one token at a time")
    typed = page.get_by_label("Prompt")
    typed.fill("word " * 60)
    expect(page.get_by_role("alert")).to_contain_text("shorten it")
    typed.fill("Once upon a time")
    shows(page, told, text="Once upon a time", kernels="fast")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_where_the_model_ends_the_text_there_is_no_decode_step(page, told):
    press(page, "A whole turn", by="mouse")
    text = dict(diagram.EXAMPLES)["A whole turn"]
    shows(page, told, text=text)
    expect(page.locator("[data-shown=verdict]")).to_contain_text("; that ends the text.")
    choice = page.get_by_label("Pass")
    choice.select_option("decode")
    expect(page.locator("[data-shown=verdict]")).to_have_text(
        "The model ended the text after the prompt: there is no decode step."
    )
    for one in (*PARTS, "total", "end"):
        expect(page.locator(f"[data-shown={one}]")).to_be_hidden()
    choice.select_option("prompt")
    shows(page, told, text=text)


def test_the_home_page_leads_to_it_by_keyboard(open_page):
    page = open_page("index")
    link = page.get_by_role("link", name="Follow one prompt through every stage")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("The data’s journey")
    page.wait_for_selector("html[data-ready]")
