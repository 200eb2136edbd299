"""The tokenizer's page: every control by mouse and by keyboard, and what is shown is what the engine answers."""

from __future__ import annotations

import pytest

from milestones.m0.diagram import tokenizer
from tests.browser.conftest import drag, press, slide, visible

sync_api = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright")
expect = sync_api.expect
pytestmark = pytest.mark.slow
EMOJI = "naïve café 🙃 👩‍🚀"


@pytest.fixture(scope="module")
def page(keep_page):
    return keep_page("tokenizer")


def many(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def type_text(page, text):
    """As a person does: all is selected, and the keys are pressed."""
    page.get_by_label("Your text").focus()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)


def shows(page, device, text, vocabulary="model", *, aloud=False):
    """The page shows what the engine says of this text, and has said it `aloud`. Returns that."""
    told = tokenizer.encode(device, text, vocabulary)
    sizes = [many(told[word], word[:-1]) for word in ("characters", "bytes", "tokens")]
    expect(page.locator("[data-shown=counts]")).to_have_text("→".join(sizes))
    if aloud:
        expect(page.locator("#announcer")).to_have_text(", ".join(sizes))
    chips = [token for piece in told["pieces"] for token in piece["tokens"] or [{"text": piece["text"], "id": "no id"}]]
    expect(page.locator(".chip .piece")).to_have_text([visible(chip["text"]) for chip in chips])
    expect(page.locator(".chip .id")).to_have_text([str(chip["id"]) for chip in chips])
    decoded = page.locator("[data-shown=decoded]")
    expect(decoded.locator("q")).to_have_text(visible(told["decoded"]))
    expect(decoded.locator("b")).to_contain_text("equal to your text" if told["equal"] else "not equal")
    return told


def merges_shown(page, device, text, piece, vocabulary="model"):
    told = tokenizer.merges(device, text, vocabulary, piece)
    expect(page.locator(".panel h2")).to_have_text(f"How “{visible(told['text'])}” is merged")
    rows = [[str(i + 1), " + ".join(map(visible, s["symbols"][s["at"] : s["at"] + 2])), f"{s['rank']:,}"]
            for i, s in enumerate(told["steps"])]  # fmt: skip
    expect(page.locator(".panel tbody :is(th, td)")).to_have_text([cell for row in rows for cell in row])
    return told


def step_shown(page, told, at):
    """The symbols before merge `at`, with the two that are joined; at the end, the tokens."""
    step = told["steps"][at] if at < len(told["steps"]) else None
    expect(page.locator("[data-shown=symbols] > *")).to_have_text(
        [visible(s) for s in (step["symbols"] if step else told["end"])]
    )
    joined = [visible(s) for s in step["symbols"][step["at"] : step["at"] + 2]] if step else []
    expect(page.locator("[data-shown=symbols] > [data-joined]")).to_have_text(joined)
    expect(page.locator("[data-shown=step]")).to_contain_text(
        f"lowest rank, {step['rank']:,}" if step else ", ".join(map(str, told["ids"]))
    )
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", f"{at} of {len(told['steps'])}")


@pytest.mark.parametrize("text", ["hello  world\n", EMOJI, "", "a bell: \x06 rings", "<|im_start|>user", "x"])
def test_what_is_typed_is_shown_as_the_engine_sees_it(page, device, text):
    type_text(page, text)
    told = shows(page, device, text, aloud="x" in text)
    expect(page.get_by_label("Your text")).to_be_focused()
    warning = page.locator(".warning")
    if told["lacking"]:
        expect(warning).to_contain_text(f"0x06 at offset {told['lacking'][0]['offset']}")
    else:
        expect(warning).to_be_hidden()


def test_typing_key_by_key_ends_in_the_whole_text(page, device):
    """An answer that comes late must not take the place of a newer one."""
    type_text(page, "")
    page.keyboard.type("tokens, tokens 2024", delay=30)
    shows(page, device, "tokens, tokens 2024")


EXAMPLES = {"Words": "mouse", "Emoji": "keyboard", "Code": "mouse", "Rare": "keyboard", "Lacking": "mouse"}


@pytest.mark.parametrize(("name", "by"), EXAMPLES.items(), ids=EXAMPLES)
def test_an_example_is_typed_for_you(page, device, name, by):
    type_text(page, "")
    press(page, name, by=by)
    text = page.get_by_label("Your text").input_value()
    assert text
    shows(page, device, text)


def test_another_vocabulary_gives_its_own_ids(page, device):
    there = [name for name, _ in tokenizer.encode(device, "x", "model")["vocabularies"]]
    if len(there) == 1:
        pytest.skip("not run here: no second vocabulary is in the cache: pytest milestones/m0 fetches them")
    type_text(page, EMOJI)
    shows(page, device, EMOJI)
    chosen = page.get_by_label("Vocabulary")
    chosen.focus()
    page.keyboard.press("ArrowDown")
    told = shows(page, device, EMOJI, there[1])
    expect(chosen).to_be_focused()
    assert told["pieces"] != tokenizer.encode(device, EMOJI, "model")["pieces"]
    merges_shown(page, device, EMOJI, 0, there[1])
    chosen.select_option("model")
    shows(page, device, EMOJI)


@pytest.mark.parametrize("by", ["mouse", "Enter", "Space"])
def test_a_chip_shows_how_its_piece_was_merged(page, device, by):
    text = f"{by} tokenizers"
    type_text(page, text)
    pieces = shows(page, device, text)["pieces"]
    at = len(pieces[0]["tokens"])  # the second piece's first chip
    chip = page.locator(".chip").nth(at)
    if by == "mouse":
        chip.click()
    else:
        chip.focus()
        page.keyboard.press(by)
    told = merges_shown(page, device, text, 1)
    expect(chip).to_be_focused()
    expect(page.locator(".chip[aria-pressed=true]")).to_have_count(len(pieces[1]["tokens"]))
    step_shown(page, told, len(told["steps"]))
    expect(page.locator("#announcer")).to_contain_text(f"tokenizers: {many(len(told['steps']), 'merge')}")
    expect(page.locator(".bytes li").first).to_have_text("·20")


def test_the_merges_are_walked_through_by_buttons_and_by_the_slider(page, device):
    type_text(page, "antidisestablishmentarianism")
    shows(page, device, "antidisestablishmentarianism")
    page.locator(".chip").first.click()
    told = merges_shown(page, device, "antidisestablishmentarianism", 0)
    last = len(told["steps"])
    assert last > 5
    press(page, "Step back", by="mouse")
    step_shown(page, told, last - 1)
    press(page, "Step back", by="keyboard")
    step_shown(page, told, last - 2)
    expect(page.locator("#announcer")).to_contain_text(f"{told['steps'][last - 2]['rank']:,}")
    press(page, "Step on", by="keyboard")
    press(page, "Step on", by="mouse")
    step_shown(page, told, last)
    press(page, "Step on", by="keyboard")  # there is nothing more: it keeps the focus, and says so
    expect(page.get_by_role("button", name="Step on")).to_have_attribute("aria-disabled", "true")
    step_shown(page, told, last)
    slide(page, "Merges done", "Home")
    step_shown(page, told, 0)
    slide(page, "Merges done", "ArrowRight", 3)
    step_shown(page, told, 3)
    expect(page.locator("#announcer")).to_contain_text(f"{told['steps'][3]['rank']:,}")
    drag(page, "Merges done", 1.0)
    step_shown(page, told, last)
    drag(page, "Merges done", 0.5)
    at = int(page.get_by_role("slider").input_value())
    assert 0 < at < last
    step_shown(page, told, at)
