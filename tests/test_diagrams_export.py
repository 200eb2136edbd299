"""`firstlight diagrams --export DIR` without a browser: where it may write, what it leaves out, what an early end leaves."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time

import numpy as np
import pytest

from metal.source import ROOT
from milestones.diagrams import export, recorder, registry
from milestones.terminal import check_interrupt
from tests.command import firstlight, refused
from tests.test_diagrams import TOY


def test_a_folder_that_cannot_be_exported_to_is_one_line_and_stays_as_it_is(tmp_path):
    (tmp_path / "mine").write_text("x")
    refused(firstlight("diagrams", "--export", str(tmp_path)), "is not empty")
    refused(firstlight("diagrams", "--export", str(tmp_path / "mine")), "cannot be written")
    refused(firstlight("diagrams", "--export", str(tmp_path / "no" / "site")), "there is no folder", "no")
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    refused(firstlight("diagrams", "--export", str(tmp_path / "link")), "is a link")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "mine", "there"] and not list(
        (tmp_path / "there").iterdir()
    )


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_files", lambda device, told: {"a.html": b"x"} | 1)
    with pytest.raises(TypeError):
        export.export(None, tmp_path / "site", print)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("diagram", registry.diagrams(), ids=lambda one: one.name)
def test_a_milestones_readme_says_how_its_diagram_is_opened_live_and_exported(diagram):
    words = (ROOT / "milestones" / diagram.milestone / "README.md").read_text()
    assert f"`/{diagram.name}.html`" in words and f"`site/{diagram.name}.html`" in words
    assert "`firstlight diagrams`" in words and "`firstlight diagrams --export site`" in words
    assert diagram.recording is not None and diagram.recorded and diagram.examples, "every page is in an exported site"


def record_toy(recorder):
    for _, text in recorder.diagram.examples:
        with recorder.example(text):
            recorder.floats(f"{text}.bin", np.ones(3))
            recorder.ask("echo", text=text)


@pytest.mark.parametrize("examples", [(("Good", "a"), ("Bad", "refuse")), (("Bad", "refuse"),)], ids=["one of two", "all"])
def test_an_example_that_a_model_cannot_take_is_left_out_of_an_export_and_said(monkeypatch, examples):
    """Nothing of it is left, nor of a page that has no other."""
    shown, told = dataclasses.replace(TOY, name="tokenizer", examples=examples, recording=record_toy), []
    monkeypatch.setattr(export, "diagrams", lambda: (shown,))
    files = export._files(None, told.append)
    assert told == ["recording tokenizer", "  without “refuse”: that is refused"] and "refuse.bin" not in files
    catalog = json.loads(files["catalog.json"])["diagrams"]
    if len(examples) == 1:
        assert not catalog and not {"tokenizer.html", "tokenizer.js", "tokenizer.json"} & set(files)
    else:
        assert catalog[0]["examples"] == [["Good", "a"]] and files["a.bin"] == np.ones(3, "<f4").tobytes()
        assert json.loads(files["tokenizer.json"])["answers"] == {'echo {"text":"a"}': [{"text": "a"}]}


def test_an_export_that_is_terminated_leaves_nothing(tmp_path, monkeypatch):
    """A service manager, or kill: SIGTERM comes at any moment, and the hidden folder must go with the process."""
    monkeypatch.setattr(export, "_files", lambda device, told: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(5))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        export.export(None, tmp_path / "site", print)
    assert end.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    assert not list(tmp_path.iterdir())


class Waiting:
    """A run that waits in its destructor, as the device's do: what is raised there is lost."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


def test_an_export_that_is_terminated_while_a_kernel_is_waited_for_ends_at_its_next_step(tmp_path, monkeypatch):
    def recording(recorder):
        Waiting()
        recorder.ask("echo", text="a")
        raise AssertionError("it went on")

    shown = dataclasses.replace(TOY, recording=recording)
    monkeypatch.setattr(export, "diagrams", lambda: (shown,))
    with pytest.raises(SystemExit):
        export.export(None, tmp_path / "site", print)
    assert not list(tmp_path.iterdir())
    check_interrupt()  # it has been dealt with


def test_an_answer_is_looked_up_as_javascript_writes_the_request():
    request = {"text": 'naïve 🙃 \x06\n"', "appended": [], "seed": 7, "temperature": 0.8, "model": True}
    written = '{"appended":[],"model":true,"seed":7,"temperature":0.8,"text":"naïve 🙃 \\u0006\\n\\""}'
    assert recorder.key("look", request) == f"look {written}"
