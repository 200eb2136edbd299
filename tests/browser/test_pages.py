"""What holds of every page: accessible in light and dark, at 320 pixels and at 200 % zoom, by keyboard, with its sources."""

from __future__ import annotations

import pytest

from milestones.diagrams.registry import diagrams

pytestmark = pytest.mark.slow
PAGES = ["index", *(one.name for one in diagrams())]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(open_page, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="not run here: pip install axe-playwright-python")
    for width in (1280, 320):
        found = axe.Axe().run(open_page(name, width=width, scheme=scheme))
        assert not found.violations_count, found.generate_report()


@pytest.mark.parametrize("width", [320, 640, 768], ids=["320", "1280 at 200 %", "768"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_off_or_needs_scrolling_sideways(open_page, name, width):
    page = open_page(name, width=width)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", PAGES)
def test_every_control_can_be_reached_by_tab_and_shows_that_it_is(open_page, name):
    page = open_page(name)
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


@pytest.mark.parametrize("diagram", diagrams(), ids=lambda one: one.name)
def test_a_page_says_what_is_seen_and_links_to_the_kernels(open_page, diagram):
    page = open_page(diagram.name)
    words = page.inner_text("main")
    assert all(note in words for note in diagram.notes) and all(source in words for source in diagram.sources)
    for file in diagram.files:
        link = page.get_by_role("link", name=file, exact=True)
        answer = page.request.get(link.evaluate("one => one.href"))
        assert answer.ok and answer.text().strip() and answer.headers["content-type"].startswith("text/plain")
