"""The cache's page: every control by mouse and by keyboard, and what is shown is what the engine answers."""

from __future__ import annotations

import json

import pytest

from milestones.m4.diagram import cache as diagram
from tests.browser.conftest import drag, press, slide

sync_api = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright")
expect = sync_api.expect
pytestmark = pytest.mark.slow
NAME = "cache"
PROMPT, CELLS = "The cat sat on the", "section.branch:has(button[aria-pressed=true])"


class Cache:
    """The page, and the engine in this process."""

    def __init__(self, page, device):
        self.page, self.device, self.cells = page, device, page.locator(CELLS)

    def press(self, name, by="mouse"):
        press(self.page, name, by=by)

    def can(self, name):
        return self.page.get_by_role("button", name=name, exact=True).get_attribute("aria-disabled") == "false"

    def holds(self, tokens):
        """Waits until the branch that is stepped is so long."""
        expect(self.cells.locator(".prompt > *")).to_have_count(tokens, timeout=60_000)

    def drawn(self, kind):
        """Cells of a kind, halves counted."""
        return self.cells.locator(f"[data-shown=cells-{kind}]").get_attribute("d").count("M")

    def says(self, name, words):
        expect(self.page.locator(f"[data-shown={name}]")).to_contain_text(words, timeout=30_000)

    def row(self, way):
        return [cell.replace(",", "") for cell in self.page.locator(f"tr[data-key={way}] td").all_inner_texts()]

    def answer(self, appended, dtype="float32", text=PROMPT):
        return json.loads(json.dumps(diagram.step(self.device, text, appended, dtype), default=lambda x: x.tolist()))

    def greedy(self, steps):
        appended = []
        for _ in range(steps):
            appended.append(self.answer(appended)["next"][0]["id"])
        return appended


@pytest.fixture
def one(kept, device):
    """The page as it begins."""
    kept.reload()
    made = Cache(kept, device)
    made.holds(5)
    return made


def test_the_prompt_is_fed_at_once_and_a_step_then_computes_one_row_a_layer(one):
    assert one.drawn("computed") == 2 * 30 * 5 and one.drawn("kept") == 0
    assert one.row("cached")[:2] == one.row("uncached")[:2] == ["5", "5"]
    one.press("Step")
    one.holds(6)
    one.press("Step", "keyboard")
    one.holds(7)
    appended = one.greedy(2)
    answer = one.answer(appended)
    assert one.cells.locator(".prompt mark").all_inner_texts() == [t["text"].replace(" ", "·") for t in answer["tokens"][5:]]
    assert one.row("cached")[:2] == ["1", "7"] and one.row("uncached")[:2] == ["7", str(5 + 6 + 7)]
    assert one.drawn("computed") == 2 * 30 and one.drawn("kept") == 2 * 30 * 6
    one.says("step", "1 row of K and 1 of V in each of 30 layers, 60 together; 6 rows a layer came out of the cache")
    assert one.page.locator("[data-shown=curves] circle").count() == one.page.locator("[data-shown=curves] rect").count() == 3
    options = one.page.get_by_label("Next token").locator("option")
    assert options.evaluate_all("all => all.map((one) => Number(one.value))") == [t["id"] for t in answer["next"]]


def test_the_switch_shows_what_is_computed_without_the_cache(one):
    one.press("Step")
    one.holds(6)
    switch = one.page.get_by_role("switch", name="Cache")
    switch.focus()
    one.page.keyboard.press("Space")
    assert one.drawn("computed") == 2 * 30 * 6 and one.drawn("kept") == 0
    one.says("step", "Without, this step computed tokens 0 to 5: 6 rows of K and 6 of V in each of 30 layers, 360 together.")
    expect(one.page.locator("#announcer")).to_contain_text("Without, this step computed")
    switch.click()
    assert one.drawn("computed") == 2 * 30


def test_two_quick_clicks_are_two_steps_and_a_run_can_be_stopped(one):
    one.press("Step")
    one.press("Step")
    one.holds(7)
    one.page.get_by_role("button", name="Run 16 steps").focus()
    one.page.keyboard.press("Enter")
    expect(one.cells.locator(".prompt > *").nth(8)).to_be_visible()
    one.page.get_by_role("button", name="Stop").click()
    expect(one.page.get_by_role("button", name="Run 16 steps")).to_be_visible(timeout=60_000)
    n = one.cells.locator(".prompt > *").count()
    assert 9 <= n < 23
    assert int(one.row("cached")[1]) == n and int(one.row("uncached")[1]) == sum(range(5, n + 1))
    ids = one.greedy(n - 5)
    assert one.cells.locator(".prompt > *").all_inner_texts() == [
        t["text"].replace(" ", "·").replace("\n", "⏎") for t in one.answer(ids)["tokens"]
    ]
    one.page.get_by_text("Every step as a table").click()
    assert one.page.locator("[aria-label='Every step'] tbody th").all_inner_texts() == [str(m) for m in range(5, n + 1)]


def test_a_rewind_leaves_stale_rows_that_the_next_steps_write_over(one):
    for n in (6, 7, 8):
        one.press("Step")
        one.holds(n)
    assert not one.can("Rewind")
    slide(one.page, "Rewind to", "ArrowLeft", 2)
    assert one.can("Rewind")
    one.press("Rewind", "keyboard")
    one.holds(6)
    one.says("did", "Rewound from 8 to 6 tokens")
    assert one.drawn("stale") == 2 * 30 * 2 and one.drawn("kept") == 2 * 30 * 6 and one.drawn("computed") == 0
    second = one.answer(one.greedy(1))["next"][1]
    one.page.get_by_label("Next token").select_option(str(second["id"]))
    one.press("Step")
    one.holds(7)
    assert one.drawn("stale") == 2 * 30 and one.drawn("computed") == 2 * 30
    assert one.cells.locator(".prompt mark").last.inner_text() == second["text"].replace(" ", "·")


def test_a_fork_goes_its_own_way_beside_the_other(one):
    one.press("Step")
    one.holds(6)
    one.press("Fork", "keyboard")
    one.says("did", f"Forked: {46_080 * 6 / 1000:.1f} kB, the rows of 6 tokens, copied in")
    first = one.greedy(1)
    next_ = one.answer(first)["next"]
    one.press("Step")
    one.holds(7)
    assert one.cells.locator(".prompt mark").last.inner_text() == next_[1]["text"].replace(" ", "·")
    one.press("Branch A", "keyboard")
    one.holds(6)
    one.press("Step")
    one.holds(7)
    assert one.cells.locator(".prompt mark").last.inner_text() == next_[0]["text"].replace(" ", "·")
    texts = one.page.locator("section.branch .prompt").all_inner_texts()
    assert len(texts) == 2 and texts[0] != texts[1]
    one.press("Branch B")
    assert one.row("cached")[:2] == ["1", "1"]
    one.press("Start again")
    expect(one.page.locator("section.branch")).to_have_count(1, timeout=30_000)
    one.holds(5)


def test_halves_take_half_the_bytes_and_change_the_logits_a_little(one):
    one.says("memory", "= 46,080 bytes a token. 5 tokens take 230.4 kB of the 4.4 MB")
    kind = one.page.get_by_label("Numbers in the cache")
    kind.focus()
    one.page.keyboard.press("ArrowDown")
    one.says("memory", "= 23,040 bytes a token. 5 tokens take 115.2 kB of the 2.2 MB")
    one.says("did", f"by {one.answer([], 'float16')['apart']:#.2g} at most")
    one.says("cell", "V within")
    kind.select_option("float32")
    one.says("did", "in no bit")


def test_a_cell_shows_the_caches_own_rows(one):
    slide(one.page, "Layer", "ArrowRight", 3)
    slide(one.page, "Token", "ArrowLeft", 2)
    one.says("cell", "Layer 3, token 2 of 5")
    answer = diagram.cell(one.device, PROMPT, [], "float32", 3, 2)
    lines = one.page.locator("table.numbers tbody tr")
    for at, (name, part) in enumerate([("k", "elements"), ("k", "anew"), ("v", "elements"), ("v", "anew")]):
        said = lines.nth(at).locator("td").nth(1).inner_text().split()
        assert said == [f"{x:.3f}".replace("-", "−") for x in answer[name][part].tolist()]
    assert lines.nth(0).locator("td").first.inner_text().split() == [f"{x:.2f}" for x in answer["k"]["norms"].tolist()]
    one.cells.locator("svg.cells").click(position={"x": 34 + 15 * 1 + 7, "y": 76 + 8 * 20 + 4})
    one.says("cell", "Layer 20, token 1 of 5")
    assert one.page.get_by_role("slider", name="Layer").input_value() == "20"


def test_the_sliders_can_be_dragged(one):
    one.press("Step")
    one.holds(6)
    drag(one.page, "Layer", 1.0)
    drag(one.page, "Token", 0.0)
    one.says("cell", "Layer 29, token 0 of 6")
    drag(one.page, "Rewind to", 0.0)
    one.press("Rewind")
    one.holds(5)


def test_another_prompt_begins_anew_and_what_does_not_fit_is_told(one):
    one.press("Step")
    one.holds(6)
    typed = one.page.get_by_label("Prompt")
    typed.fill("Hello world")
    one.holds(2)
    one.press("Step", "keyboard")
    one.holds(3)
    assert one.row("uncached")[:2] == ["3", "5"]
    typed.fill("word " * 60)
    expect(one.page.get_by_role("alert")).to_contain_text("this picture takes 48: shorten it")
    typed.fill("")
    expect(one.page.get_by_role("alert")).to_contain_text("The text is empty")
    one.holds(3)
    slide(one.page, "Layer", "ArrowRight")  # the picture's cells can still be looked at: what is wrong stays said
    one.says("cell", "Layer 1, token 2 of 3")
    expect(one.page.get_by_role("alert")).to_contain_text("The text is empty")
    typed.fill("Hello")
    one.holds(1)
    expect(one.page.get_by_role("alert")).to_be_hidden()


def test_what_is_clicked_while_a_text_is_typed_is_about_the_old_text(one):
    """The new one is fed a moment after the last key; until then the picture, and what is asked about it, is the old one's."""
    asked = []
    one.page.on("request", lambda request: asked.append(request.post_data_json) if "/api/" in request.url else None)
    one.page.get_by_label("Prompt").press_sequentially(" Oh")
    one.page.get_by_role("button", name="Step", exact=True).click()
    one.holds(6)  # "The cat sat on the Oh", anew
    steps = [request for request in asked if "to" not in request and "layer" not in request]
    assert steps[0] in ({"text": PROMPT, "appended": one.greedy(1), "dtype": "float32"}, steps[-1])
    assert steps[-1] == {"text": f"{PROMPT} Oh", "appended": [], "dtype": "float32"}


def test_two_tabs_do_not_disturb_each_other(one, open_page):
    other = Cache(open_page("cache"), one.device)
    other.holds(5)
    for n in (6, 7):
        one.press("Step")
        other.press("Step")
        one.holds(n)
        other.holds(n)
    assert one.cells.locator(".prompt").inner_text() == other.cells.locator(".prompt").inner_text()
    assert one.row("cached")[:2] == other.row("cached")[:2] == ["1", "7"]
