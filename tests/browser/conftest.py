"""The diagrams in a real browser: `firstlight diagrams` as a process, the system's Chromium, driven by Playwright."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from conftest import need_device
from tests.command import COMMAND

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")


def start(*arguments: str, env: dict[str, str] | None = None) -> tuple[subprocess.Popen, str]:
    """The command as a process of its own, and its address."""
    process = subprocess.Popen(
        [COMMAND, "diagrams", "--no-browser", "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:"), process.communicate(timeout=60)
    return process, address


@pytest.fixture(scope="session")
def server(model_path) -> Iterator[str]:
    """The address of a running `firstlight diagrams`; when all is done, Ctrl-C must end it cleanly."""
    need_device()
    process, address = start()
    yield address
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and "Traceback" not in errors, errors


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium. Without it, or without Playwright, nothing here is run."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("not run here: there is no Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright")
    playwright.expect.set_options(timeout=20_000)
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield made
        made.close()


@pytest.fixture
def open_page(server, browser) -> Iterator[Callable[..., Page]]:
    """`open_page("tokenizer", width=1280, scheme="light")` → the page, drawn. None may log an error or ask another server."""
    with opened(browser, server) as get:
        yield get


@pytest.fixture(scope="module")
def keep_page(server, browser) -> Iterator[Callable[..., Page]]:
    """`open_page` for a page that a whole file of tests uses: opening one takes a second."""
    with opened(browser, server) as get:
        yield get


@pytest.fixture(scope="module")
def keep_exported(site, browser) -> Iterator[Callable[..., Page]]:
    """The same for pages of the exported site."""
    with opened(browser, site) as get:
        yield get


@pytest.fixture(scope="module")
def kept(request, keep_page) -> Page:
    """The page that a file of tests is about, its NAME."""
    return keep_page(request.module.NAME)


@pytest.fixture
def page(kept) -> Page:
    """The page as it is first: each test starts there."""
    kept.reload()
    kept.wait_for_selector("html[data-ready]")
    return kept


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """What opens pages of the server at that address, and closes them at the end."""
    made, wrong = [], []

    def heard(message: Any) -> None:
        if (
            message.type == "error" and "Failed to load resource" not in message.text
        ):  # answers with an error are tested as such
            wrong.append(message.text)

    def get(name: str, *, width: int = 1280, scheme: Any = "light", ready: bool = True) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        page = context.new_page()
        made.append(context)
        page.set_default_timeout(20_000)
        page.on("console", heard)
        page.on("pageerror", lambda problem: wrong.append(str(problem)))
        page.on(
            "request", lambda asked: asked.url.startswith((address, "blob:", "data:")) or wrong.append(f"asked {asked.url}")
        )
        page.goto(f"{address}{name}.html")
        if ready:
            page.wait_for_selector("html[data-ready]")
        return page

    try:
        yield get
    finally:
        for context in made:
            context.close()
    assert not wrong, wrong


def percent(p: float) -> str:
    """A share as the pages write it."""
    return "0 %" if p == 0 else "< 0.01 %" if p < 0.0001 else f"{100 * p:.{2 if p < 0.01 else 1}f} %"


def visible(piece: str) -> str:
    """A token's piece as the pages write it."""
    return piece.replace(" ", "·").replace("\n", "⏎").replace("\t", "→").replace("\r", "␍")


def press(page: Page, name: str, *, by: str) -> None:
    """The button of that name, by "mouse" or by "keyboard". It must have the focus afterwards."""
    found = page.get_by_role("button", name=name, exact=True)
    if by == "mouse":
        found.click()
    else:
        found.focus()
        page.keyboard.press("Enter")
    assert found.evaluate("one => one === document.activeElement"), f"{name} has lost the focus"


def slide(page: Page, label: str, key: str, times: int = 1) -> None:
    """A slider, by a key: "ArrowRight", "Home", "End" … It must have the focus afterwards."""
    found = page.get_by_role("slider", name=label, exact=True)
    found.focus()
    for _ in range(times):
        page.keyboard.press(key)
    assert found.evaluate("one => one === document.activeElement"), f"{label} has lost the focus"


def drag(page: Page, label: str, share: float) -> None:
    """A slider, by the mouse: from where it is to that share of its length, with a stop on the way."""
    found = page.get_by_role("slider", name=label, exact=True)
    found.scroll_into_view_if_needed()
    box, at = found.bounding_box(), found.evaluate("one => (one.value - one.min) / (one.max - one.min)")
    assert box is not None
    room, y = box["width"] - 16, box["y"] + box["height"] / 2  # a thumb is 16 pixels wide
    page.mouse.move(box["x"] + 8 + at * room, y)
    page.mouse.down()
    for part in (0.5, 1.0):
        page.mouse.move(box["x"] + 8 + (at + part * (share - at)) * room, y)
    page.mouse.up()


@pytest.fixture(scope="session")
def device(model_path):
    """What the server computes with, in this process: its answers are what the pages must show."""
    from milestones.diagrams.device import Device

    need_device()
    return Device(model_path)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def site(device, tmp_path_factory) -> Iterator[str]:
    """The address of a plain file server over what the command wrote, under a path as a web host may have it.

    The command is run here, on a device that is there already. The longest recordings have fewer steps of each kind.
    """
    from milestones.diagrams.command import diagrams
    from milestones.m4.diagram import recorded
    from milestones.m5.diagram import quantization

    folder = tmp_path_factory.mktemp("export") / "some" / "site"
    folder.parent.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("milestones.diagrams.device.Device", lambda path: device)
        for name, fewer in {"EXAMPLES": quantization.EXAMPLES[:1], "SCOPES": {"blocks": ""}, "MATRICES": ("ffn_up",)}.items():
            patch.setattr(quantization, name, fewer)
        for name, less in {"EXAMPLES": recorded.EXAMPLES[:1], "GROWN": 4, "FORKED": 2}.items():
            patch.setattr(recorded, name, less)
        done = CliRunner().invoke(diagrams, ["--export", str(folder)], catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, "") and "recording sampling\n" in done.stderr and done.stderr.endswith(" MB\n")
    assert [one.name for one in folder.parent.iterdir()] == ["site"], "nothing else is left"
    handler = functools.partial(Quiet, directory=folder.parent.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}/some/site/"
        made.shutdown()
