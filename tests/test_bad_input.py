"""Bad input at the command line: one clear line, exit status 2, no traceback, nothing half-written. A small model stands in."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from conftest import one_in
from milestones import terminal
from milestones.errors import UserError
from milestones.m1.gguf_file import GgufFile
from milestones.m1.test_gguf_fuzz import HEADER, a_model
from milestones.m1.test_hf_model import write as write_folder
from tests.command import COMMAND, firstlight, refused

SMALL = a_model()  # a Llama of 2 blocks, 33 tokens, a context of 128; its weights are zero


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.gguf"
    path.write_bytes(SMALL)
    return path


def changed(path, old: bytes, new: bytes):
    """The same file with one thing in it forged, all else of the same length."""
    assert len(old) == len(new) and SMALL.count(old) >= 1
    path.write_bytes(SMALL.replace(old, new))
    return path


def run(path, prompt="abc", *options):
    return firstlight("generate", prompt, "--max-tokens", "2", "--model", str(path), *options)


def test_the_small_model_itself_runs(small):
    done = run(small)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"aa\n", b""), "all logits are 0: a tie goes to the lowest id"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"blk.1.ffn_up.weight", b"blk.1.ffn_uq.weight", "tensor blk.1.ffn_up.weight of shape (96, 64) is missing"),
        (b"output_norm.weight", b"output_nrom.weight", "tensor output_norm.weight of shape (64,) is missing"),
        (b"llama.block_count", b"llama.block_cOunt", "llama.block_cOunt is 2, a feature that is not supported"),
        (b"llama.block_count", b"other.block_count", "the key llama.block_count is missing"),
        (b"tokenizer.ggml.model", b"tokenizer.ggml.mOdel", "the key tokenizer.ggml.model is missing"),
    ],
    ids=["no-ffn_up", "no-norm", "unknown-key", "no-block_count", "no-tokenizer"],
)
def test_a_forged_name_is_named(small, old, new, words):
    refused(run(changed(small, old, new)), words)


def test_an_unknown_architecture_is_named(small):
    text = lambda word: struct.pack("<Q", len(word)) + word  # noqa: E731
    refused(
        run(changed(small, text(b"llama"), text(b"mamba"))),
        "its architecture is mamba; only llama, qwen2, qwen3, smollm3 are supported",
    )


def test_an_unknown_tensor_type_is_named(small):
    at = SMALL.index(b"blk.0.attn_q.weight") + len(b"blk.0.attn_q.weight") + 4 + 16
    small.write_bytes(SMALL[:at] + struct.pack("<I", 99) + SMALL[at + 4 :])
    refused(run(small), "tensor blk.0.attn_q.weight has type type 99; only F32")
    small.write_bytes(SMALL[:at] + struct.pack("<I", 26) + SMALL[at + 4 :])
    refused(run(small), "tensor blk.0.attn_q.weight has type I32; only F32")


def test_a_misshapen_tensor_is_named(small):
    at = SMALL.index(b"blk.0.attn_q.weight") + len(b"blk.0.attn_q.weight") + 4
    small.write_bytes(SMALL[:at] + struct.pack("<QQ", 32, 128) + SMALL[at + 16 :])
    refused(run(small), "tensor blk.0.attn_q.weight has shape (128, 32), expected (64, 64)")


@pytest.mark.parametrize("bits", one_in(2, [0x7FC00000, 0x7F800000, 0xFF800000, 0x7F800001]), ids=hex)
@pytest.mark.parametrize("options", [(), ("--temperature", "1", "--seed", "1"), ("--no-cache",)], ids=" ".join)
def test_logits_that_are_no_numbers_are_never_text(small, bits, options):
    """Planted in the last norm's weight: every logit is NaN then, whatever fast math makes of it."""
    info = GgufFile(small).tensors["output_norm.weight"]
    small.write_bytes(SMALL[: info.offset] + struct.pack("<I", bits) * 64 + SMALL[info.offset + 256 :])
    embedding = GgufFile(small).tensors["token_embd.weight"]
    with open(small, "r+b") as file:
        file.seek(embedding.offset)
        file.write(np.random.default_rng(1).standard_normal(33 * 64).astype(np.float32).tobytes())
    refused(run(small, "abc", *options), "logits of 33 that are NaN or infinite")


def test_a_prompt_over_the_context_is_refused_before_anything_is_computed(small):
    for command in (("generate",), ("logits",), ("sample",)):
        done = firstlight(*command, "c" * 129, "--model", str(small))
        refused(done, "the prompt is 129 tokens, the model's context holds 128: shorten the prompt")


def test_a_prompt_that_fills_the_context_ends_there(small):
    """127 of 128 tokens: one is fed back, one more only predicted."""
    done = firstlight("generate", "c" * 127, "--max-tokens", "50", "--model", str(small), "--json")
    assert done.returncode == 0 and b'"reason": "context full"' in done.stdout
    assert done.stdout.count(b'"logprob"') == 2


@pytest.mark.parametrize("command", [("generate", "-"), ("tokenize", "-"), ("logits", "-"), ("sample", "-")], ids=" ".join)
def test_standard_input_that_is_no_utf8_is_named_by_byte_and_offset(small, command):
    done = firstlight(*command, "--model", str(small), stdin=b"ab\xc3(")
    refused(done, "standard input is not UTF-8 text: byte 0xC3 at offset 2")


@pytest.mark.parametrize("command", ["generate", "logits", "sample"])
def test_an_empty_prompt_from_standard_input_is_refused(small, command):
    for content in (b"", b"\n"):
        refused(firstlight(command, "-", "--model", str(small), stdin=content), "the prompt is empty")


def test_a_text_without_an_end_is_one_line(tmp_path, monkeypatch):
    """/dev/zero as a text took all memory there is; so much is read and no more."""
    monkeypatch.setattr(terminal, "LARGEST_TEXT", 1000)
    (tmp_path / "text").write_bytes(b"a" * 1000)
    assert terminal.read_text(tmp_path / "text") == "a" * 1000
    with pytest.raises(UserError, match="'/dev/zero' is larger than 1,000 bytes"):
        terminal.read_text(Path("/dev/zero"))
    with open("/dev/zero") as endless, monkeypatch.context() as changed:
        changed.setattr("sys.stdin", endless)
        with pytest.raises(UserError, match="standard input is larger than 1,000 bytes"):
            terminal.read_stdin()


def test_closed_standard_input_is_one_line(small):
    closed = f'"{COMMAND}" generate - --model "{small}" <&-'
    done = subprocess.run(["sh", "-c", closed], capture_output=True, timeout=60)
    refused(done, "standard input is closed")


def test_a_byte_the_vocabulary_lacks_is_named(small):
    refused(run(small, "ab\x01"), "no token for byte 0x01, at offset 2")


@pytest.mark.slow
def test_two_dozen_models_with_a_flipped_bit_run_or_are_one_line(tmp_path, small):
    """From clone to text with a damaged header: what the reader's own spec shows a million times, here through the command."""
    rng, ends = random.Random(5), set()
    for _ in range(24):
        data = bytearray(SMALL)
        data[rng.randrange(HEADER[1])] ^= 1 << rng.randrange(8)
        small.write_bytes(data)
        done = run(small)
        ends.add(done.returncode)
        if done.returncode == 0:
            assert done.stderr == b""
        else:
            refused(done, "firstlight: ")
    assert ends == {0, 2}, "both must occur"


def test_a_name_too_long_is_one_line():
    for command in (("inspect", "a" * 300), ("generate", "hi", "--model", "a" * 300)):
        refused(firstlight(*command), "cannot be opened (File name too long)")


def test_a_message_never_holds_a_line_end_or_a_control_character(tmp_path):
    folder = write_folder(tmp_path / "model")
    entry = {"type": "x\ny\x1b[31m"}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}, "merges": []}, "pre_tokenizer": entry}))
    refused(run(folder), r"pre-tokenizer x\ny\x1b[31m is not supported")


def test_a_damaged_folder_is_one_line(tmp_path):
    folder = write_folder(tmp_path / "model")
    refused(run(folder), "there is no tokenizer.json, so the model has no tokenizer")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1])
    refused(run(folder), "model.safetensors is damaged or foreign")
    (folder / "config.json").write_text("{")
    refused(run(folder), "config.json is damaged")
    refused(firstlight("inspect", str(folder)), "config.json is damaged")


@pytest.mark.slow
def test_a_cache_folder_that_cannot_be_used_costs_time_or_is_named(tmp_path, small):
    """A file where the folder should be. With a model of one's own nothing needs the cache; without one the model does."""
    (tmp_path / "file").write_text("not a folder")
    env = {"FIRSTLIGHT_CACHE": str(tmp_path / "file")}
    done = firstlight("generate", "abc", "--max-tokens", "2", "--model", str(small), env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"aa\n", b"")
    for command in (("generate", "abc"), ("fetch",)):
        refused(firstlight(*command, env=env), "FIRSTLIGHT_CACHE")
    assert (tmp_path / "file").read_text() == "not a folder"


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KiB, if this process may mount one."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("not run here: no right to mount a file system of 64 KiB; run as root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_cache_folder_costs_time_or_is_named(full_disk, small, model_path):
    env = {"FIRSTLIGHT_CACHE": str(full_disk), "TMPDIR": str(full_disk.parent)}
    done = firstlight("generate", "abc", "--max-tokens", "2", "--model", str(small), env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"aa\n", b""), "compiled kernels are only not kept"
    done = firstlight("fetch", env=env)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    line = done.stderr.decode().splitlines()[-1]
    assert line.startswith("firstlight: ") and "disk is full" in line and "FIRSTLIGHT_CACHE" in line
    assert not list(full_disk.rglob("*.gguf")) and not list(full_disk.rglob("fetch-*"))


def test_doctor_says_what_is_here_and_what_is_not(tmp_path, model_path):
    done = firstlight("doctor")
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    fine = [f"ok       {name}" for name in ("device", "runtime", "cache", "memory", "model", "tests")]
    for words in ("firstlight 0", "Python 3.", *fine):
        assert words in text, words
    assert ("no spec is run on an Apple GPU here" in text) == ("portable" in text)
    bare = firstlight("doctor", env={"FIRSTLIGHT_CACHE": str(tmp_path / "empty")}).stdout.decode()
    assert "MISSING  model" in bare and "firstlight fetch" in bare and "not run here" in bare
    (tmp_path / "file").write_text("")
    broken = firstlight("doctor", env={"FIRSTLIGHT_CACHE": str(tmp_path / "file")})
    assert (
        broken.returncode == 2 and "MISSING  cache" in broken.stdout.decode() and "FIRSTLIGHT_CACHE" in broken.stdout.decode()
    )
    assert broken.stderr.decode().count("\n") == 1 and os.path.isfile(tmp_path / "file")
