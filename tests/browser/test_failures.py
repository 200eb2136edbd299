"""What can go wrong while a page is open: it says so kindly, keeps its picture, and goes on when the trouble is over."""

from __future__ import annotations

import threading

import pytest
import uvicorn

from conftest import need_device
from milestones.diagrams.command import _listen
from milestones.diagrams.device import Device
from milestones.diagrams.guard import Guard
from milestones.diagrams.server import application
from milestones.diagrams.worker import WAITING, Job, Worker
from milestones.m0.diagram.merges import Merges
from tests.browser.conftest import opened

sync_api = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright")
expect = sync_api.expect
pytestmark = pytest.mark.slow
CHIPS = ".chip .piece"


class Here:
    """The server in this process: it can be stopped and started again, and its queue held up."""

    def __init__(self, model_path):
        self.worker, self.port = Worker(lambda: Device(model_path)), 0
        self.worker.start()
        self.start()

    def start(self):
        listening = _listen("127.0.0.1", self.port)
        self.port = listening.getsockname()[1]
        app = application(self.worker, Guard("127.0.0.1", self.port))
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    def stop(self):
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def hold(self, waiting=0):
        """A request of somebody else's runs until the event is set; so many more wait behind it."""
        go, began = threading.Event(), threading.Event()
        self.worker.submit(Job("slow", lambda device: began.set() or go.wait(30), lambda kind, value: None))
        assert began.wait(10)
        for n in range(waiting):
            self.worker.submit(Job(f"other {n}", lambda device: None, lambda kind, value: None))
        return go


@pytest.fixture(scope="module")
def here(model_path):
    need_device()
    made = Here(model_path)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def page(here, browser):
    with opened(browser, f"http://127.0.0.1:{here.port}/") as get:
        yield get("tokenizer")


def type_text(page, text):
    page.get_by_label("Your text").fill(text)


def goes_on(page):
    """Nothing is wrong any more, and the picture follows the text."""
    type_text(page, "all is well")
    expect(page.locator(CHIPS)).to_have_text(["all", "·is", "·well"])
    expect(page.get_by_role("alert")).to_be_hidden()


def says(page, *words):
    """One line, for a person: what is wrong, and what to do."""
    line = page.get_by_role("alert")
    for word in words:
        expect(line).to_contain_text(word)
    shown = line.inner_text()
    assert "\n" not in shown and len(shown) < 200 and shown[0].isupper() and shown.endswith("."), shown


def test_while_a_slow_request_is_ahead_the_page_says_that_it_waits(here, page):
    goes_on(page)
    go = here.hold()
    type_text(page, "soon")
    expect(page.locator(".busy")).to_have_text("The engine is at work …")
    expect(page.locator(CHIPS)).to_have_text(["all", "·is", "·well"])  # the picture stays
    type_text(page, "sooner or later")  # nobody is kept from typing, and only this is answered
    go.set()
    expect(page.locator(CHIPS)).to_have_text(["soon", "er", "·or", "·later"])
    expect(page.locator(".busy")).to_be_empty()


def test_when_too_many_wait_the_page_says_that_the_engine_is_busy(here, page):
    goes_on(page)
    go = here.hold(WAITING)
    type_text(page, "too much")
    says(page, "The engine is busy with other requests", "try again in a moment")
    expect(page.locator(CHIPS)).to_have_text(["all", "·is", "·well"])
    go.set()
    goes_on(page)


def test_a_server_that_is_gone_and_comes_back(here, page):
    goes_on(page)
    here.stop()
    type_text(page, "hello?")
    says(page, "The server does not answer", "Start it again", "firstlight diagrams")
    expect(page.locator(CHIPS)).to_have_text(["all", "·is", "·well"])
    here.start()
    goes_on(page)


def test_what_nobody_foresaw_is_one_line_here_and_a_traceback_in_the_terminal(here, page, monkeypatch, capfd):
    goes_on(page)
    with monkeypatch.context() as patch:
        patch.setattr(Merges, "walk", lambda self, piece: 1 / 0)
        type_text(page, "division")
        says(page, "The engine failed (ZeroDivisionError)", "see the terminal")
    printed = capfd.readouterr().err
    assert "Traceback" in printed and "in merges" in printed
    goes_on(page)


ABSURD = {
    "a megabyte": ("'x'.repeat(1_000_000)", ["larger than 65,536 bytes", "shorten"]),
    "more than is sent": ("'x'.repeat(2_100_000)", ["far too long", "shorten"]),
    "more than the picture takes": ("'x'.repeat(9_000)", ["9,000 bytes long", "8,000", "shorten"]),
    "a lone surrogate": ("'a\\ud800b'", ["a lone surrogate at character 1", "leave it out"]),
}


@pytest.mark.parametrize(("text", "words"), ABSURD.values(), ids=ABSURD)
def test_an_absurd_text_is_refused_in_words(page, text, words):
    goes_on(page)
    page.evaluate(f"""() => {{ const box = document.querySelector("textarea");
        box.value = {text}; box.dispatchEvent(new Event("input")); }}""")
    says(page, *words)
    expect(page.locator(CHIPS)).to_have_text(["all", "·is", "·well"])
    goes_on(page)


def test_an_absurd_seed_is_refused_in_words_and_a_large_one_is_not(here, browser):
    with opened(browser, f"http://127.0.0.1:{here.port}/") as get:
        page = get("sampling")
        verdict, seed = page.locator("[data-shown=verdict]"), page.get_by_label("Seed", exact=True)
        for given in (10**30, "-1", "1.5", "", 2**32):
            seed.fill(str(given))
            says(page, "Seed must be a whole number from 0 to 4,294,967,295")
            expect(verdict).to_contain_text("of seed")
        for given in (10**9, 2**32 - 1):
            seed.fill(str(given))
            expect(verdict).to_contain_text(f"of seed {given} takes")
            expect(page.get_by_role("alert")).to_be_hidden()
        page.get_by_role("button", name="Another seed").click()
        expect(verdict).to_contain_text("of seed 0 takes")
