"""The residual stream's page: every control by mouse and by keyboard, and what is shown is what the engine answers."""

from __future__ import annotations

import pytest

from milestones.m2.diagram import residual as diagram
from tests.browser.conftest import drag, slide

sync_api = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright")
expect = sync_api.expect
pytestmark = pytest.mark.slow
NAME = "residual"
PROMPT = "The cat sat on the mat because it was tired."
READER = {"attention": "attention", "ffn": "the FFN"}


def figure(x: float) -> str:
    """A number as the page writes it."""
    size = float(f"{abs(x):.4g}")
    if 0 < size < 0.01:
        return f"{x:#.2g}".replace("-", "−")
    return f"{x:,.{0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3}f}".replace("-", "−")


def numbers(found: list[str]) -> list[float]:
    return [float(one.replace("−", "-").replace(",", "")) for one in found]


def shows(page, device, token=7, layer=10, part="ffn", text=PROMPT):
    """The page shows what the engine says of this token, layer and part."""
    told, lengths = diagram.look(device, text, token, layer, part), diagram.norms(device, text)
    name, width = lengths["tokens"][token]["text"].replace(" ", "·"), lengths["width"]
    expect(page.locator(".panel h2").first).to_have_text(f"RMSNorm before {READER[part]}, layer {layer}, token “{name}”")
    before, between, attention, ffn = (lengths[key][token][layer] for key in ("before", "between", "attention", "ffn"))
    after = lengths["before"][token][layer + 1]
    expect(page.locator("[data-shown=verdict]")).to_have_text(
        f"Layer {layer}, token “{name}”: it comes in {figure(before)} long. Attention adds {figure(attention)}, the FFN "
        f"{figure(ffn)}; it leaves {figure(after)} long."
    )
    divided = figure(told["rms"]["divided"])
    expect(page.locator("[data-shown=rms]")).to_contain_text(f"Divided by it, {divided}; times the weight")
    expect(page.locator("[data-shown=without]")).to_contain_text(f"would add {figure(told['without'])}, ")
    expect(page.locator("[data-shown=share]")).to_contain_text(f"These 8 of {width} elements hold {100 * told['share']:.1f} %")
    cells = page.locator("[aria-label='The largest elements'] tbody :is(th, td)").all_inner_texts()
    assert cells == [
        word
        for one in told["largest"]
        for word in (str(one["at"]), *(figure(one[key]) for key in ("x", "divided", "weight", "normed")))
    ]
    added = page.locator("[aria-label='With the norm, and without'] tbody tr td:nth-child(2)").all_inner_texts()
    assert added == [figure(told["added"]), figure(told["without"])]
    strips = page.locator("[data-shown=strip] span").all_inner_texts()
    assert [one.rpartition(" ")[2] for one in strips] == [
        figure(abs(told["vectors"][key]).max()) for key in ("x", "divided", "normed")
    ]
    line = page.locator("[aria-label='Every layer'] tr[data-now] td").all_text_contents()
    assert line == [figure(x) for x in (before, attention, between, ffn, after)]
    return lengths


def test_the_page_begins_with_the_engines_numbers_of_every_layer(page, device):
    told = shows(page, device)
    page.get_by_text("Every layer as a table").click()
    lines = page.locator("[aria-label='Every layer'] tbody tr")
    expect(lines).to_have_count(told["blocks"])
    for at in (0, 11, 29):
        found = numbers(lines.nth(at).locator("td").all_inner_texts())
        expected = [told[key][7][at] for key in ("before", "attention", "between", "ffn")] + [told["before"][7][at + 1]]
        assert found == pytest.approx(expected, rel=6e-3)
    picture = page.locator("[data-shown=curves]")
    assert picture.locator("circle").count() == 31 and picture.locator("path.other").count() == len(told["tokens"]) - 1
    assert picture.locator("rect.attention").count() == picture.locator("rect.ffn").count() == 30


def test_the_layer_by_key_by_drag_and_by_a_click_on_the_picture(page, device):
    slide(page, "Layer", "ArrowRight", 2)
    shows(page, device, layer=12)
    expect(page.locator("#announcer")).to_contain_text("Layer 12, token “·it”")
    drag(page, "Layer", 0.0)
    shows(page, device, layer=0)
    box = page.locator("[data-shown=curves]").bounding_box()
    room = box["width"] - 70
    page.locator("[data-shown=curves]").click(position={"x": 58 + room * 20.5 / 30, "y": 100})
    shows(page, device, layer=20)


def test_the_part_before_which_the_norm_stands(page, device):
    part = page.get_by_label("Norm before")
    part.focus()
    page.keyboard.press("ArrowUp")
    shows(page, device, part="attention")
    part.select_option("ffn")
    shows(page, device)


def test_a_token_is_chosen_by_mouse_and_by_keyboard_and_keeps_the_focus(page, device):
    chips = page.locator(".chip")
    chips.nth(0).click()
    shows(page, device, token=0)
    chips.nth(5).focus()
    page.keyboard.press("Enter")
    told = shows(page, device, token=5)
    assert chips.nth(5).evaluate("one => one === document.activeElement")
    assert chips.evaluate_all("all => all.map((one) => one.getAttribute('aria-pressed'))").index("true") == 5
    assert page.locator(".chip .id").all_inner_texts() == [figure(row[10]) for row in told["before"]]


def test_the_scale_moves_the_curve_and_not_the_numbers(page, device):
    def heights():
        return page.locator("[data-shown=curves] circle").evaluate_all(
            "all => all.map((one) => Number(one.getAttribute('cy')))"
        )

    page.locator(".chip").nth(0).click()
    told, first = shows(page, device, token=0), heights()
    switch = page.get_by_role("switch", name="Logarithmic scale")
    switch.focus()
    page.keyboard.press("Space")
    expect(page.locator("#announcer")).to_have_text("Linear scale")
    linear, before = heights(), told["before"][0]
    rise = (linear[3] - linear[15]) / (before[15] - before[3])  # pixels for one
    assert [linear[3] - y for y in linear] == pytest.approx([rise * (x - before[3]) for x in before], abs=0.1)
    switch.click()
    assert heights() == first
    shows(page, device, token=0)


def test_another_prompt_and_what_does_not_fit(page, device):
    typed = page.get_by_label("Prompt")
    typed.fill("Hello brave world")
    shows(page, device, token=2, text="Hello brave world")
    typed.fill("word " * 60)
    expect(page.get_by_role("alert")).to_contain_text("shorten it")
    typed.fill("Hello")
    shows(page, device, token=0, text="Hello")
    expect(page.get_by_role("alert")).to_be_hidden()
