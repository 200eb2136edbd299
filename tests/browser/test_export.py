"""The exported site, as any web host would serve it: recorded numbers, and the sampler computed in the page."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import numpy as np
import pytest

from milestones.diagrams import registry
from milestones.m3.diagram import sampling
from milestones.m3.golden.make import FILTERS
from milestones.m5.diagram import quantization
from reference.golden import load
from reference.philox import uniform
from reference.sample import draw, keep
from tests.browser import test_quantization, test_sampling, test_tokenizer
from tests.browser.conftest import drag, press, slide

sync_api = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright")
expect = sync_api.expect
pytestmark = pytest.mark.slow
GOLDEN = load(Path(sampling.__file__).parent.parent / "golden", "sample")


@pytest.fixture(scope="module")
def tokenizer(keep_exported):
    return keep_exported("tokenizer")


@pytest.fixture
def sampler(keep_exported):
    page = keep_exported("sampling")
    yield page
    page.close()


def test_the_ladder_and_every_link_of_it_are_there(keep_exported):
    page = keep_exported("index")
    expect(page.locator(".rung")).to_have_count(8)
    for link in set(page.locator("a[href]").evaluate_all("all => all.map((one) => one.href.split('#')[0])")):
        assert page.request.get(link).ok, link


@pytest.mark.parametrize("name", [one.name for one in registry.diagrams()])
def test_every_page_is_there_and_fits_and_axe_finds_nothing(keep_exported, name):
    """Under a path, without an error in the console or a request to elsewhere, which `keep_exported` looks for."""
    page = keep_exported(name)
    expect(page.locator(".warning").first).to_contain_text("A recording: the engine’s own numbers")
    assert not any(page.locator(".problem").all_inner_texts())
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="not run here: pip install axe-playwright-python")
    found = axe.Axe().run(page)
    assert not found.violations_count, found.generate_report()
    page.set_viewport_size({"width": 320, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_a_file_that_cannot_be_fetched_is_said_and_asked_for_again(keep_exported):
    page = keep_exported("attention")
    page.route("**/attention-1.bin", lambda route: route.abort())
    press(page, "Anna", by="mouse")
    expect(page.get_by_role("alert")).to_contain_text("Attention-1.bin of this site could not be fetched: change something")
    page.unroute("**/attention-1.bin")
    press(page, "Anna", by="keyboard")
    expect(page.locator(".chip .piece").first).to_have_text("Anna")
    expect(page.locator(".problem")).to_be_hidden()
    page.close()


def test_a_page_that_is_opened_as_a_file_says_what_it_needs(site, browser, tmp_path):
    """Browsers load no modules then: without these words the page would stay empty."""
    for name in ("attention.html", "style.css", "shell.js"):
        (tmp_path / name).write_bytes(urllib.request.urlopen(f"{site}{name}").read())
    page = browser.new_page()
    page.goto(f"file://{tmp_path}/attention.html")
    words = page.get_by_text("only from a web server")
    assert not words.is_visible(), "not while a page is still on its way"
    expect(words).to_be_visible()
    page.close()


@pytest.mark.parametrize("name", ["Words", "Emoji", "Lacking"])
def test_an_example_is_tokenized_as_the_engine_did(tokenizer, device, name):
    press(tokenizer, name, by="keyboard")
    text = tokenizer.get_by_label("Your text").input_value()
    told = test_tokenizer.shows(tokenizer, device, text)
    tokenizer.locator(".chip").last.click()
    test_tokenizer.merges_shown(tokenizer, device, text, len(told["pieces"]) - 1)


def test_what_was_not_recorded_is_said_in_words(tokenizer, device):
    press(tokenizer, "Words", by="mouse")
    test_tokenizer.shows(tokenizer, device, "the cat sat on the mat")
    tokenizer.get_by_label("Your text").fill("my own words")
    expect(tokenizer.get_by_role("alert")).to_contain_text("This page is a recording, and of this there is none")
    test_tokenizer.shows(tokenizer, device, "the cat sat on the mat")
    expect(tokenizer.locator(".warning").first).to_contain_text("A recording: the engine’s own numbers")


def test_the_sampler_computed_in_the_page_shows_what_the_engine_says(sampler, device):
    """Settings move freely: nothing of this was recorded but the logits."""
    test_sampling.shows(sampler, device)
    slide(sampler, "Temperature", "End")
    slide(sampler, "Top-k", "Home")
    slide(sampler, "Top-p", "ArrowLeft", 30)
    test_sampling.shows(sampler, device, temperature=2, top_k=0, top_p=0.7)
    slide(sampler, "Min-p", "ArrowRight", 9)
    test_sampling.shows(sampler, device, temperature=2, top_k=0, top_p=0.7, min_p=0.09)
    press(sampler, "Another seed", by="mouse")
    test_sampling.shows(sampler, device, temperature=2, top_k=0, top_p=0.7, min_p=0.09, seed=8)
    drag(sampler, "Temperature", 0)
    test_sampling.shows(sampler, device, temperature=0, top_k=0, top_p=0.7, min_p=0.09, seed=8)


def test_a_thousand_draws_in_the_page_are_the_engines(sampler, device):
    press(sampler, "Sample 1,000", by="keyboard")
    told = sampling.draws(device, test_sampling.PROMPT, [], sampling.ROWS, **test_sampling.START)
    words = [f"{one['drawn']} drawn, {one['expected']:.1f} expected" for one in told["counts"]]
    expect(sampler.locator(".bars tbody .why")).to_have_text(words)


def test_the_recorded_continuation_is_the_engines_and_ends_in_words(sampler, device):
    press(sampler, "A tale", by="mouse")
    test_sampling.shows(sampler, device, "Once upon a time")
    for n in range(sampling.GROWN):
        press(sampler, "Sample one and append", by="keyboard")
        expect(sampler.locator("[data-shown=prompt] mark")).to_have_count(n + 1)
    ids = test_sampling.appended(sampler)[1]
    test_sampling.shows(sampler, device, "Once upon a time", ids)
    press(sampler, "Sample one and append", by="keyboard")
    expect(sampler.get_by_role("alert")).to_contain_text("This page is a recording")
    press(sampler, "Take back the last", by="keyboard")
    test_sampling.shows(sampler, device, "Once upon a time", ids[:-1])


def test_recorded_blocks_and_next_tokens_are_the_engines(keep_exported, device):
    page = keep_exported("quantization")
    test_quantization.shows(page, device)
    slide(page, "Block", "End")
    test_quantization.shows(page, device, block=17)
    slide(page, "Block", "Home")
    page.get_by_label("Tensor").select_option("ffn_up")
    slide(page, "Layer", "End")
    test_quantization.shows(page, device, "ffn_up", 29, 1535)
    press(page, "Go to the largest outlier", by="mouse")
    at = quantization.outlier(device, "ffn_up", 29)
    expect(page.locator("[data-shown=where]")).to_contain_text(f"Row {at['row']:,}, weights {32 * at['block']} to")
    press(page, "Measure", by="mouse")
    expect(page.locator(".effects > li")).to_have_count(6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantization, "MATRICES", ("ffn_up",))
        *_, last = quantization.effect(device, quantization.EXAMPLES[0][1], "blocks", "ffn_up", 0)
    words = page.locator(".effects > li").last.locator("[data-shown=kl]")
    expect(words).to_contain_text(f"KL divergence {last['kl']:.4f} nats")
    assert last["kl"] > 0.01
    page.close()


def evaluated(page, function, *given):
    """A function of sampling_recorded.js, or of several, called in the page."""
    return page.evaluate(
        f"async (given) => {{ const own = await import('./sampling_recorded.js'); return ({function})(own, ...given); }}",
        list(given),
    )


def test_the_pages_sampler_is_held_to_the_same_golden_data_as_the_kernel(sampler):
    """transformers made these numbers, and m3's spec holds the kernel to them."""
    function = """(own, logits, settings) => logits.map((row) => settings.map((one) => {
        const seen = own.stages(Float32Array.from(row), one);
        return [[...seen.min_p], [...seen.weights], [...seen.order]]; }))"""
    names = ("temperature", "top_k", "top_p", "min_p")
    cases = [dict(zip(names, case, strict=True)) for case in FILTERS]
    found = evaluated(sampler, function, GOLDEN["logits"].astype(float).tolist(), cases)
    for row, logits in enumerate(GOLDEN["logits"]):
        for number, settings in enumerate(cases):
            shares, weights, order = map(np.array, found[row][number])
            golden = GOLDEN[f"case{number}"][row]
            assert np.array_equal(shares > 0, golden > 0)
            np.testing.assert_allclose(shares, golden, rtol=1e-4, atol=1e-7)
            assert np.array_equal(order, np.argsort(-logits, kind="stable"))
            z = logits.astype(np.float64) / settings["temperature"]
            p = np.float32(np.exp(z - z.max()) / np.exp(z - z.max()).sum())
            cuts = {name: settings[name] for name in names[1:]}
            np.testing.assert_allclose(weights, keep(p, order.tolist(), **cuts), rtol=1e-6)


def test_the_pages_draws_are_the_references(sampler):
    numbers = [(0, 0), (7, 3), (10**9, 999), (2**32 - 1, 12345)]
    assert evaluated(sampler, "(own, all) => all.map((one) => own.uniform(...one))", numbers) == [
        uniform(*one) for one in numbers
    ]
    weights = np.random.default_rng(2).random(400).astype(np.float32)
    weights[::3] = 0
    function = "(own, weights) => Array.from({ length: 200 }, (_, step) => own.draw(Float32Array.from(weights), 7, step))"
    assert evaluated(sampler, function, weights.astype(float).tolist()) == [
        draw(weights, uniform(7, step)) for step in range(200)
    ]
