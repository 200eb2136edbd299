"""`firstlight quantize` as a process: what it says, and one line for what cannot be."""

from __future__ import annotations

import os

import pytest

from milestones.m1.gguf_model import GgufModel
from tests.command import firstlight, refused
from tests.tiny import random_model, write_gguf


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "heads": 4, "head_dim": 16}
    return write_gguf(random_model(3, **sizes), tmp_path_factory.mktemp("model") / "floats.gguf")


def test_it_says_what_stands_in_the_file(floats, tmp_path):
    done = firstlight("quantize", str(floats), "out.gguf", "--type", "q4_0", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    size = (tmp_path / "out.gguf").stat().st_size
    assert done.stdout.decode().startswith(f"out.gguf: 11 tensors (1 Q8_0, 3 F32, 7 Q4_0), {size:,} bytes, ")
    assert GgufModel(tmp_path / "out.gguf").tensors["blk.0.ffn_up.weight"].type == "Q4_0"
    again = firstlight("quantize", "out.gguf", "again.gguf", "--type", "q8_0", cwd=tmp_path)
    assert again.returncode == 0
    assert again.stderr == b"note: 7 tensors had been quantized before: the errors of both times add up\n"


def test_what_cannot_be_is_one_line(floats, tmp_path):
    """No such file, a file that is there, a type that is not made, a file that is no model: nothing is left behind."""
    (tmp_path / "text").write_text("no model at all")
    (tmp_path / "mine").write_text("mine")
    refused(firstlight("quantize", "nowhere", "out", "--type", "q4_0", cwd=tmp_path), "nowhere: no such file")
    refused(firstlight("quantize", "text", "out", "--type", "q4_0", cwd=tmp_path), "not a GGUF file")
    refused(firstlight("quantize", str(floats), "mine", "--type", "q4_0", cwd=tmp_path), "mine is there already", "--force")
    refused(firstlight("quantize", str(floats), "out", "--type", "q4_k", cwd=tmp_path), "'q4_k' is not one of")
    assert sorted(os.listdir(tmp_path)) == ["mine", "text"]


def test_force_replaces_a_file_and_nothing_else(floats, tmp_path):
    """No pipe and no device; of a link, what it points to."""
    model, command = tmp_path / "model.gguf", ("--type", "q4_0", "--force")
    model.write_text("an older one")
    (tmp_path / "link.gguf").symlink_to("model.gguf")
    os.mkfifo(tmp_path / "pipe")
    refused(firstlight("quantize", str(floats), "pipe", *command, cwd=tmp_path), "pipe cannot be written: it is no plain file")
    refused(firstlight("quantize", str(floats), "-", *command, cwd=tmp_path), "not written to standard output")
    assert sorted(os.listdir(tmp_path)) == ["link.gguf", "model.gguf", "pipe"] and (tmp_path / "pipe").is_fifo()
    assert firstlight("quantize", str(floats), "link.gguf", *command, cwd=tmp_path).returncode == 0
    assert (tmp_path / "link.gguf").is_symlink() and GgufModel(model).tensors["blk.0.ffn_up.weight"].type == "Q4_0"
