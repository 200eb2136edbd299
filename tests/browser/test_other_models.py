"""The pages of another model than the default one, live and exported: fewer layers and heads, rows that are no whole blocks."""

from __future__ import annotations

import functools
import http.server
import re
import signal
import threading

import gguf
import pytest

from conftest import need_device
from milestones.diagrams.registry import diagrams
from milestones.m1.model_file import open_model
from tests.browser.conftest import Quiet, opened, start
from tests.command import firstlight
from tests.tiny import random_model, write_gguf

expect = pytest.importorskip("playwright.sync_api", reason="not run here: pip install playwright").expect
pytestmark = pytest.mark.slow
NAMES = [one.name for one in diagrams()]
SHOWN = {
    "tokenizer": ".chip",
    "sampling": ".bars tbody tr",
    "cache": ".branch .prompt",
    "quantization": ".types li",
    "journey": ".step",
}


@pytest.fixture(scope="module", params=[96, 60], ids=["whole blocks", "no whole blocks"])
def tiny(request, model_path, tmp_path_factory):
    """A random model of three layers with the default model's tokenizer, and whether a row is whole blocks of 32."""
    need_device()
    path, told = tmp_path_factory.mktemp("tiny") / "tiny.gguf", open_model(model_path).metadata

    class Writer(gguf.GGUFWriter):
        def write_header_to_file(self, *arguments):
            names = {"model": "tokenizer_model", "pre": "tokenizer_pre", "tokens": "token_list", "token_type": "token_types",
                     "merges": "token_merges", "eos_token_id": "eos_token_id"}  # fmt: skip
            for name, method in names.items():
                getattr(self, f"add_{method}")(told[f"tokenizer.ggml.{name}"])
            super().write_header_to_file(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.tiny.GGUFWriter", Writer)
        write_gguf(random_model(1, vocab_size=len(told["tokenizer.ggml.tokens"]), hidden_size=request.param), path)
    return path, request.param % 32 == 0


def draws(page, name, whole):
    """A first picture, and nothing that is refused."""
    if name == "quantization" and not whole:
        expect(page.get_by_role("alert")).to_contain_text("there is nothing to quantize")
        return
    expect(page.locator(SHOWN.get(name, "[data-shown=verdict]")).first).not_to_be_empty()
    assert not any(page.locator(".problem").all_inner_texts())
    for slider in page.get_by_role("slider", name="Layer", exact=True).all():
        slider.press("End")
        expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^2\b"))


def test_every_page_begins_within_the_model(tiny, browser):
    """Its first layer, head and pair are the default model's; another may have fewer."""
    path, whole = tiny
    process, address = start("--model", str(path))
    try:
        with opened(browser, address) as get:
            for name in NAMES:
                draws(get(name), name, whole)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_every_exported_page_does_too(tiny, browser, tmp_path):
    path, whole = tiny
    done = firstlight("diagrams", "--model", str(path), "--export", str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr.decode()
    assert ("left out: no row of this model" in done.stderr.decode()) is not whole
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path / "site")) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        with opened(browser, f"http://127.0.0.1:{made.server_port}/") as get:
            for name in NAMES:
                if whole or name != "quantization":
                    draws(get(name), name, whole)
        made.shutdown()
