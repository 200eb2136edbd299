"""The quantization page: every control by mouse and by keyboard, and what is shown is what the engine answers."""

from __future__ import annotations

import json
import re

import pytest

from milestones.m5.diagram import quantization
from tests.browser.conftest import drag, percent, press, slide, visible

sync_api = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright")
expect = sync_api.expect
pytestmark = pytest.mark.slow
SMALL = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


@pytest.fixture(scope="module")
def page(keep_page):
    return keep_page("quantization")


def read(words: str) -> float:
    """A number of the page: −1.234, 5.67 · 10⁻⁵."""
    number = words.translate(SMALL).replace("−", "-").replace(" · 10⁻", "e-").replace("+", "")
    return float(number)


NUMBER = r"[−+]?[\d.]+(?: · 10⁻[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?"


def shows(page, device, part="token_embd", layer=0, row=7042, block=0, weight=0):
    """The page shows what the engine says of this block. Returns that."""
    told = quantization.block(device, part, layer, row, block)
    where = page.locator("[data-shown=where]")
    expect(where).to_contain_text(f"{told['name']}: ")
    expect(where).to_contain_text(f"Row {row:,}")
    expect(where).to_contain_text(f"weights {32 * block} to {32 * block + 31}. In the file: {told['kind']}.")
    if told["token"] is not None:
        expect(where).to_contain_text(f"the token “{visible(told['token'])}”")
    one = page.locator("[data-shown=weight]")
    expect(one).to_have_text(re.compile(f"^Weight {weight}: "))
    assert read(one.inner_text().partition(": ")[2]) == pytest.approx(told["values"][weight], rel=5e-3)
    cards = page.locator(".types > li")
    expect(cards).to_have_count(6)
    most = max(of["largest"] for of in told["formats"])
    for card, of in zip(cards.all(), told["formats"], strict=True):
        assert card.locator("h3").inner_text() == f"{of['type']} · {of['bits']:g} bits a weight"
        scale = [read(n) for n in re.findall(f"= ({NUMBER})", card.locator("[data-shown=scale]").inner_text())]
        assert scale == pytest.approx([x for x in (of["scale"], of["minimum"]) if x is not None], rel=5e-3)
        loss, mine = (card.locator(f"[data-shown={name}]").inner_text() for name in ("loss", "one"))
        rms, largest = (read(n) for n in re.search(f"^RMS error ({NUMBER}) .* at most ({NUMBER});", loss).groups())
        assert (rms, largest) == pytest.approx((of["rms"], of["largest"]), rel=5e-3)
        assert loss.endswith(f"{percent(of['row'])} over the row")
        code, means, off = re.fullmatch(f"Weight {weight}: (\\S+) means ({NUMBER}), off by ({NUMBER})", mine).groups()
        assert code == str(of["codes"][weight])
        assert (read(means), read(off)) == pytest.approx((of["values"][weight], of["errors"][weight]), rel=5e-3)
        heights = card.locator(".errors rect[class^=bar]").evaluate_all(
            "all => all.map((one) => Number(one.getAttribute('height')))"
        )
        full = max(heights) / of["largest"] * most if of["largest"] else 1
        assert heights == pytest.approx([full * abs(e) / most if most else 0 for e in of["errors"]], abs=1e-3)
        ticks = card.locator(".ticks").get_attribute("d").count("M")
        assert ticks == (0 if of["type"] == "F16" else of["most"] - of["least"] + 1)
    return told


def test_the_page_begins_with_a_block_of_the_models_own_weights(page, device):
    shows(page, device)
    expect(page.locator("#announcer")).to_contain_text("Errors of the block: F16")


def test_every_control_moves_by_keyboard(page, device):
    tensor = page.get_by_label("Tensor")
    tensor.focus()
    page.keyboard.press("ArrowDown")
    row = page.get_by_label("Row", exact=True)
    expect(row).to_have_value("575")  # the last there is: 7042 is not
    shows(page, device, "attn_q", 0, 575)
    expect(tensor).to_be_focused()
    slide(page, "Layer", "End")
    shows(page, device, "attn_q", 29, 575)
    row.focus()
    page.keyboard.press("ArrowDown")
    shows(page, device, "attn_q", 29, 574)
    expect(row).to_be_focused()
    slide(page, "Block", "ArrowRight", 3)
    told = shows(page, device, "attn_q", 29, 574, 3)
    slide(page, "Weight", "ArrowRight", 5)
    shows(page, device, "attn_q", 29, 574, 3, 5)
    expect(page.locator("#announcer")).to_contain_text("Weight 5 is ")
    press(page, "Go to the largest outlier", by="keyboard")
    at = quantization.outlier(device, "attn_q", 29)
    values = [abs(v) for v in quantization.block(device, "attn_q", 29, at["row"], at["block"])["values"]]
    shows(page, device, "attn_q", 29, at["row"], at["block"], values.index(max(values)))
    assert at["row"] != 574 and told["kind"] == "Q4_1"
    expect(row).to_have_value(str(at["row"]))


def test_every_control_moves_by_the_mouse(page, device):
    page.get_by_label("Tensor").select_option("ffn_down")
    page.get_by_label("Row", exact=True).fill("100")
    drag(page, "Layer", 0.5)
    layer = int(page.get_by_role("slider", name="Layer").input_value())
    assert 10 < layer < 20
    drag(page, "Block", 1.0)
    drag(page, "Weight", 1.0)
    shows(page, device, "ffn_down", layer, 100, 47, 31)
    box = page.locator(".quant.values").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 10.5 / 32, box["y"] + 10)
    shows(page, device, "ffn_down", layer, 100, 47, 10)
    expect(page.get_by_role("slider", name="Weight")).to_have_value("10")
    press(page, "Go to the largest outlier", by="mouse")
    at = quantization.outlier(device, "ffn_down", layer)
    expect(page.locator("[data-shown=where]")).to_contain_text(f"Row {at['row']:,}, weights {32 * at['block']} to")


def test_every_weight_is_there_in_numbers(page, device):
    page.get_by_label("Tensor").select_option("attn_v")
    page.get_by_label("Row", exact=True).fill("5")
    slide(page, "Block", "Home")
    slide(page, "Layer", "Home")
    slide(page, "Weight", "Home")
    told = shows(page, device, "attn_v", 0, 5)
    details = page.locator("details", has_text="Every weight in numbers")
    details.locator("summary").click()
    numbers = page.get_by_label("All numbers of")
    for kind, key in (("Q4_0", None), ("Q4_1", "ArrowUp"), ("F16", "Home")):
        if key:
            numbers.focus()
            page.keyboard.press(key)
        expect(numbers).to_have_value(kind)
        of = next(one for one in told["formats"] if one["type"] == kind)
        cells = details.locator("tbody tr").evaluate_all(
            "all => all.map((one) => [...one.children].map((cell) => cell.textContent))"
        )
        assert [line[2] for line in cells] == [str(code) for code in of["codes"]]
        for line, *want in zip(cells, told["values"], of["values"], of["errors"], strict=True):
            assert [read(line[n]) for n in (1, 3, 4)] == pytest.approx(want, rel=5e-3)


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_the_next_token_is_the_engines(page, by):
    """The server is asked the same once more: the page shows its lines, and says in the end what came out."""
    page.get_by_label("Tensor").select_option("ffn_up")
    slide(page, "Layer", "Home")
    prompt = {"keyboard": "The capital of France is", "mouse": "Roses are red, violets are"}[by]
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_label("Put through each type").select_option("tensor")
    press(page, "Measure", by=by)
    measured = page.locator("[data-shown=measured]")
    expect(measured).to_contain_text("blk.0.ffn_up.weight: 1 tensor put through each of 5 types and back", timeout=60_000)
    asked = {"text": prompt, "scope": "tensor", "part": "ffn_up", "layer": 0}
    answer = page.request.post(page.url.replace("quantization.html", "api/quantization/effect"), data=asked, timeout=60_000)
    lines = [json.loads(line) for line in answer.text().splitlines()]
    shown = page.locator(".effects > li")
    expect(shown).to_have_count(6)
    for item, line in zip(shown.all(), lines, strict=True):
        assert item.locator(".tops .piece").all_text_contents() == [visible(one["text"]) for one in line["top"]]
        assert item.locator(".tops .value").all_text_contents() == [percent(one["p"]) for one in line["top"]]
        if line["type"] != "file":
            assert item.locator("h3").inner_text() == line["type"]
            words = item.locator("[data-shown=kl]").inner_text()
            assert f"{line['kl']:.4f} nats" in words and ("= the same" if line["same"] else "≠ another") in words
    expect(page.locator("#announcer")).to_contain_text(f"Q4_0: KL divergence {lines[-1]['kl']:.4f}")
    assert lines[-1]["kl"] > 0


def test_what_cannot_be_measured_or_shown_is_refused_in_words(page, device):
    row = page.get_by_label("Row", exact=True)
    before = page.locator("[data-shown=where]").inner_text()
    for given in ("1536", "-1", "", "1000000000000000000000000000000"):
        row.fill(given)
        words = "Row 1,536 is not there" if given == "1536" else "Row must be a whole number"
        expect(page.get_by_role("alert").first).to_contain_text(words)
        assert page.locator("[data-shown=where]").inner_text() == before
    row.fill("3")
    expect(page.get_by_role("alert").first).to_be_hidden()
    page.get_by_label("Prompt").fill("word " * 60)
    press(page, "Measure", by="keyboard")
    expect(page.get_by_role("alert").last).to_contain_text("this picture takes 48: shorten it")
