"""The sampler's page: every control by mouse and by keyboard; what is shown is the engine's, and so is the text that grows."""

from __future__ import annotations

import pytest

from milestones.m3.diagram import sampling
from tests.browser.conftest import drag, percent, press, slide, visible
from tests.command import firstlight

sync_api = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright")
expect = sync_api.expect
pytestmark = pytest.mark.slow
PROMPT = "The cat sat on the"
START = {"temperature": 0.8, "top_k": 15, "top_p": 1.0, "min_p": 0.0, "seed": 7}  # what the page begins with
CUT = {"top_k": "top-k", "top_p": "top-p", "min_p": "min-p", "temperature": "temperature 0"}


@pytest.fixture(scope="module")
def kept(keep_page):
    return keep_page("sampling")


@pytest.fixture
def page(kept):
    """The page as it begins."""
    if kept.locator("[data-ready]").count():
        kept.reload()
        kept.wait_for_selector("html[data-ready]")
    return kept


def shows(page, device, text=PROMPT, appended=(), **changed):
    """The page shows what the engine says of these settings. Returns that."""
    told = sampling.look(device, text, list(appended), sampling.ROWS, **START | changed)
    chosen, rows = told["chosen"], told["rows"]
    verdict = page.locator("[data-shown=verdict]")
    expect(verdict).to_contain_text(
        "ended" if told["ended"] else f"“{visible(chosen['text'])}”, id {chosen['id']}, with {percent(chosen['p'])}"
    )
    left = page.locator("[data-shown=left]")
    for name in ("top_k", "top_p", "min_p"):
        if changed.get("temperature") != 0 and (START | changed)[name] != (1 if name == "top_p" else 0):
            expect(left).to_contain_text(f"{told['left'][name]:,} after {CUT[name]}")
    expect(page.locator(".bars th .piece")).to_have_text([visible(row["text"]) for row in rows])
    cells = [[f"{row['logit']:.2f}", percent(row["own"]), percent(row["tempered"]), "" if row["cut"] else percent(row["final"])]
             for row in rows]  # fmt: skip
    expect(page.locator(".bars tbody td.n")).to_have_text([cell for line in cells for cell in line])
    expect(page.locator(".bars tbody .why")).to_have_text([f"cut by {CUT[row['cut']]}" if row["cut"] else "" for row in rows])
    widths = page.locator(".bars tbody .bar.final > i").evaluate_all("all => all.map((one) => parseFloat(one.style.width))")
    most = max(max(row["tempered"], row["final"]) for row in rows)
    assert widths == pytest.approx([100 * row["final"] / most for row in rows], abs=1e-3)
    taken = page.locator("tr[data-chosen=true]")
    assert taken.locator(".tag").all_inner_texts() == (["taken"] if chosen["id"] in {row["id"] for row in rows} else [])
    return told


def test_the_page_begins_with_the_engines_own_numbers(page, device):
    told = shows(page, device)
    expect(page.locator("#announcer")).to_contain_text(f"id {told['chosen']['id']}")
    assert len({percent(row["final"]) for row in told["rows"]}) > 5


def test_every_slider_moves_by_keyboard_and_the_bars_follow(page, device):
    slide(page, "Temperature", "Home")
    shows(page, device, temperature=0)
    slide(page, "Temperature", "End")
    shows(page, device, temperature=2)
    slide(page, "Top-k", "ArrowLeft", 3)
    shows(page, device, temperature=2, top_k=6)
    expect(page.locator("#announcer")).to_contain_text("6 after top-k")
    slide(page, "Top-k", "Home")
    slide(page, "Top-p", "ArrowLeft", 60)
    told = shows(page, device, temperature=2, top_k=0, top_p=0.4)
    assert told["left"]["top_p"] < told["size"]
    slide(page, "Min-p", "End")
    told = shows(page, device, temperature=2, top_k=0, top_p=0.4, min_p=1)
    assert told["left"]["min_p"] < told["left"]["top_p"]
    assert {row["cut"] for row in told["rows"]} >= {None, "min_p"}


def test_every_slider_moves_by_the_mouse(page, device):
    drag(page, "Temperature", 0.75)
    shows(page, device, temperature=1.5)
    drag(page, "Top-k", 0.2)
    shows(page, device, temperature=1.5, top_k=3)
    drag(page, "Top-k", 1.0)
    drag(page, "Top-p", 0.5)
    top_p = float(page.get_by_role("slider", name="Top-p").input_value())
    assert 0.45 < top_p < 0.55
    shows(page, device, temperature=1.5, top_k=5000, top_p=top_p)
    drag(page, "Min-p", 0.1)
    min_p = float(page.get_by_role("slider", name="Min-p").input_value())
    assert 0.05 < min_p < 0.15
    shows(page, device, temperature=1.5, top_k=5000, top_p=top_p, min_p=min_p)


def test_a_seed_is_typed_and_another_one_taken(page, device):
    seed = page.get_by_label("Seed", exact=True)
    seed.fill("1000000000")
    shows(page, device, seed=10**9)
    expect(seed).to_be_focused()
    page.keyboard.press("ArrowUp")
    shows(page, device, seed=10**9 + 1)
    press(page, "Another seed", by="mouse")
    press(page, "Another seed", by="keyboard")
    shows(page, device, seed=10**9 + 3)
    expect(seed).to_have_value("1000000003")


def test_a_thousand_draws_stand_beside_what_is_expected(page, device):
    for by, seed in (("mouse", 7), ("keyboard", 8)):
        press(page, "Sample 1,000", by=by)
        told = sampling.draws(device, PROMPT, [], sampling.ROWS, **START | {"seed": seed})
        words = [f"{one['drawn']} drawn, {one['expected']:.1f} expected" for one in told["counts"]]
        expect(page.locator(".bars tbody .why")).to_have_text(words)
        expect(page.locator("[data-shown=others]")).to_contain_text(f"{told['others']['drawn']} drawn")
        expect(page.locator("#announcer")).to_contain_text(f"{told['counts'][0]['drawn']} times")
        press(page, "Another seed", by=by)  # the counts were another seed's: they go
        shows(page, device, seed=seed + 1)


def test_another_prompt_begins_anew(page, device):
    press(page, "Sample one and append", by="mouse")
    expect(page.locator("[data-shown=prompt] mark")).to_have_count(1)
    page.get_by_label("Prompt").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("The capital of France is", delay=5)
    told = shows(page, device, "The capital of France is")
    assert told["rows"][0]["text"] == " Paris"
    expect(page.locator("[data-shown=prompt]")).to_have_text("The·capital·of·France·is___")
    expect(page.get_by_label("Prompt")).to_be_focused()


def appended(page):
    """The texts of the tokens that were appended, and their ids."""
    marks = page.locator("[data-shown=prompt] mark")
    ids = [int(title.split()[-1]) for title in marks.evaluate_all("all => all.map((one) => one.title)")]
    return marks.all_text_contents(), ids


def test_the_text_that_grows_is_what_generate_makes_with_the_same_seed(page, device):
    """Page and command line are one engine: the same settings, the same text, however fast the button is pressed."""
    prompt = "Once upon a time"
    settings = ["--temperature", "0.8", "--top-k", "15", "--seed", "7", "--max-tokens", "6", "--quiet"]
    done = firstlight("generate", *settings, prompt)
    assert done.returncode == 0, done.stderr
    page.get_by_label("Prompt").fill(prompt)
    shows(page, device, prompt)
    for n in range(6):
        press(page, "Sample one and append", by="mouse" if n % 2 else "keyboard")
    expect(page.locator("[data-shown=prompt] mark")).to_have_count(6)
    words, ids = appended(page)
    assert "".join(words) == visible(done.stdout.decode().removesuffix("\n"))
    shows(page, device, prompt, ids)
    press(page, "Take back the last", by="mouse")
    press(page, "Take back the last", by="keyboard")
    shows(page, device, prompt, ids[:-2])
    assert appended(page) == (words[:-2], ids[:-2])


def test_nothing_comes_after_the_end_of_the_text(page, device):
    text = "".join(one.text for one in device.engine.generate(PROMPT, settings=sampling.Settings(**START)))
    more, back = (page.get_by_role("button", name=name) for name in ("Sample one and append", "Take back the last"))
    expect(back).to_have_attribute("aria-disabled", "true")
    more.focus()
    for _ in range(5):
        page.keyboard.press("Enter")
    expect(page.locator(".gap")).to_have_text(" end of text")
    words, ids = appended(page)
    assert "".join(words[:-1]) == visible(text) and len(ids) < 5 and ids[-1] in device.tokenizer.ends
    expect(more).to_have_attribute("aria-disabled", "true")
    expect(more).to_be_focused()
    shows(page, device, appended=ids)
    press(page, "Take back the last", by="keyboard")
    expect(more).to_have_attribute("aria-disabled", "false")
