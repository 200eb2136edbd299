"""The diagrams in a real browser: `firstlight diagrams` as a process, the system's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

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
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield made
        made.close()


@pytest.fixture
def open_page(server, browser) -> Iterator[Callable[..., Page]]:
    """`open_page("tokenizer", width=1280, scheme="light")` → the page, drawn. None may log an error or ask another server."""
    opened, wrong = [], []

    def heard(message: Any) -> None:
        if (
            message.type == "error" and "Failed to load resource" not in message.text
        ):  # answers with an error are tested as such
            wrong.append(message.text)

    def get(name: str, *, width: int = 1280, scheme: Any = "light", ready: bool = True) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        page = context.new_page()
        opened.append(context)
        page.set_default_timeout(20_000)
        page.on("console", heard)
        page.on("pageerror", lambda problem: wrong.append(str(problem)))
        page.on("request", lambda asked: asked.url.startswith((server, "blob:", "data:")) or wrong.append(f"asked {asked.url}"))
        page.goto(f"{server}{name}.html")
        if ready:
            page.wait_for_selector("html[data-ready]")
        return page

    yield get
    for context in opened:
        context.close()
    assert not wrong, wrong


@pytest.fixture(scope="session")
def device(model_path):
    """What the server computes with, in this process: its answers are what the pages must show."""
    from milestones.diagrams.device import Device

    need_device()
    return Device(model_path)
