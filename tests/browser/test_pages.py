"""What holds of every page: accessible in light and dark, at 320 pixels and at 200 % zoom, by keyboard, with its sources."""

from __future__ import annotations

import pytest

from milestones.diagrams.ladder import ladder
from milestones.diagrams.registry import diagrams

pytestmark = pytest.mark.slow
PAGES = ["index", *(one.name for one in diagrams())]


@pytest.fixture(params=PAGES, scope="module")
def page(request, keep_page):
    """Each page in turn, opened once."""
    opened = keep_page(request.param)
    yield opened
    opened.close()


@pytest.mark.parametrize("width", [1280, 768, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, scheme, width):
    """Contrast of AA among it; what is folded away is looked at, too."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="not run here: pip install axe-playwright-python")
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    found = axe.Axe().run(page)
    assert not found.violations_count, found.generate_report()


CONTRASTS = """() => {
  const channel = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map((x) => channel(x / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const clear = (color) => color === "transparent" || /, 0\\)$/.test(color);
  const under = (one) => {
    const color = getComputedStyle(one).backgroundColor;
    return clear(color) && one.parentElement ? under(one.parentElement) : color;
  };
  return [...document.querySelectorAll("svg text")].map((one) => {
    const [a, b] = [light(getComputedStyle(one).fill), light(under(one))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_in_drawings_have_the_contrast_of_level_aa(page, scheme):
    """axe does not look at what is written in an SVG."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    found = page.evaluate(CONTRASTS)
    assert all(4.5 <= ratio <= 21 for ratio in found), min(found)
    name = page.url.rpartition("/")[2].removesuffix(".html")
    assert found or name not in ("attention", "rope", "residual", "cache"), "there are some"


def test_nothing_is_cut_off_or_needs_scrolling_sideways(page):
    """Down to 320 pixels; 640 of them is what 1,280 are at a zoom of 200 %."""
    for width in (320, 640, 768):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"at {width} pixels"
        lists = page.locator(".scroll:has(.bars, .numbers)").all()
        assert all(one.evaluate("(box) => box.scrollWidth <= box.clientWidth") for one in lists), f"at {width} pixels"


def test_every_control_can_be_reached_by_tab_and_shows_that_it_is(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("document.activeElement.blur()")
    wanted = page.evaluate(
        """() => [...document.querySelectorAll('a[href], button:not(:disabled), input, select, textarea, summary')]
        .filter((one) => one.checkVisibility()).map((one, at) => (one.dataset.seen = at)).length"""
    )
    reached, shown = set(), True
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        at, ring = page.evaluate(
            """() => [document.activeElement?.dataset?.seen, getComputedStyle(document.activeElement).outlineStyle]"""
        )
        if at is not None:
            reached.add(int(at))
            shown &= ring != "none"
        if len(reached) == wanted:
            break
    assert len(reached) == wanted, f"{wanted - len(reached)} of {wanted} cannot be reached"
    assert shown


def test_a_page_says_what_is_seen_and_links_to_the_kernels(page):
    name = page.url.rpartition("/")[2].removesuffix(".html")
    diagram = next((one for one in diagrams() if one.name == name), None)
    words = page.inner_text("main")
    files = diagram.files if diagram else [file for rung in ladder() for file in rung.files]
    if diagram:
        assert all(note in words for note in diagram.notes) and all(source in words for source in diagram.sources)
    links = dict(page.locator(".files a").evaluate_all("all => all.map((one) => [one.textContent, one.href])"))
    for file in files:
        answer = page.request.get(links[file])
        assert answer.ok and answer.text().strip() and answer.headers["content-type"].startswith("text/plain")
