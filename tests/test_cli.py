"""The command line as a person meets it: what goes where, and how things end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import one_in
from tests.command import COMMAND, Terminal, firstlight, refused


def test_generate_streams_the_completion_alone(model_path):
    done = firstlight("generate", "The capital of France is", "--max-tokens", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, b" Paris.\n", b"")


def test_a_stop_string_ends_the_text_before_it(model_path):
    done = firstlight("generate", "The capital of France is", "--max-tokens", "20", "--stop", "ris.")
    assert done.stdout == b" Pa\n"


@pytest.mark.slow
def test_no_cache_gives_the_same_text(model_path):
    prompt = ("generate", "def fibonacci(n):", "--max-tokens", "12")
    assert firstlight(*prompt).stdout == firstlight(*prompt, "--no-cache").stdout != b"\n"


def test_special_tokens_in_the_prompt_are_read_as_such_unless_told_not_to(model_path):
    marked = firstlight("tokenize", "<|im_start|>", "--ids").stdout.split()
    plain = firstlight("tokenize", "<|im_start|>", "--ids", "--no-special").stdout.split()
    assert len(marked) == 1 and len(plain) > 3


def test_an_emoji_that_spans_tokens_is_never_shown_in_halves(model_path):
    """Read the stream in the pieces it is written in: each must be whole UTF-8."""
    process = subprocess.Popen([COMMAND, "generate", "Repeat: 🙃🙂🙃🙂🙃🙂🙃🙂", "--max-tokens", "24"], stdout=subprocess.PIPE)
    pieces = []
    assert process.stdout is not None
    while piece := os.read(process.stdout.fileno(), 65536):
        pieces.append(piece.decode())  # raises if a character is cut
    assert process.wait() == 0
    assert any(ord(c) > 0xFFFF for c in "".join(pieces)), "the model was expected to write emoji"


def test_tokenize_shows_ids_and_pieces(model_path):
    assert firstlight("tokenize", "The capital of France is", "--ids").stdout == b"504 3575 282 4649 314\n"
    assert b"3575  ' capital'" in firstlight("tokenize", "The capital of France is").stdout


def test_logits_shows_the_likeliest_tokens(model_path):
    """The figures are transformers', in float32, on this very file."""
    lines = firstlight("logits", "The capital of France is", "--top", "5").stdout.decode().splitlines()
    assert [int(line.split()[0]) for line in lines] == [7042, 260, 4528, 2250, 1315]
    assert [float(line.split()[1]) for line in lines] == pytest.approx([17.3713, 14.8886, 13.2450, 13.0095, 12.9515], abs=2e-4)


def test_inspect_shows_architecture_tensors_and_tokenizer(model_path):
    text = firstlight("inspect").stdout.decode()
    for word in ("llama", "token_embd.weight", "Q4_1", "Q8_0", "49152"):
        assert word in text.replace(",", "")


def test_an_empty_prompt_is_refused(model_path):
    refused(firstlight("generate", ""), "prompt is empty")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), (b"", "empty"), (b"PK\x03\x04" + b"\0" * 60, "GGUF"), (b"GGUF\x03\0\0\0", "truncated")],
    ids=["missing", "empty", "foreign", "truncated"],
)
@pytest.mark.parametrize("command", ["generate", "inspect"])
def test_a_file_that_is_no_model_is_named_in_one_line(tmp_path, command, content, words):
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    arguments = ["generate", "hello", "--model", str(path)] if command == "generate" else ["inspect", str(path)]
    done = firstlight(*arguments)
    refused(done, "model.gguf")
    assert words.lower() in done.stderr.decode().lower()


def test_a_truncated_model_is_named_in_one_line(tmp_path, model_path):
    path = tmp_path / "half.gguf"
    path.write_bytes(model_path.read_bytes()[: 40 << 20])
    refused(firstlight("generate", "hello", "--model", str(path)), "half.gguf")


def test_a_folder_is_not_a_model(tmp_path):
    refused(firstlight("generate", "hello", "--model", str(tmp_path)), tmp_path.name)


def test_no_network_and_no_model_is_one_line_with_what_to_do(tmp_path):
    """An index that refuses connections, and an empty cache."""
    nowhere = {
        "FIRSTLIGHT_CACHE": str(tmp_path),
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
        "PIP_NO_INDEX": "0",
    }
    nowhere |= {"PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    refused(firstlight("generate", "hello", env=nowhere), "--model")
    assert not list(tmp_path.rglob("*.gguf")), "nothing half-fetched may remain"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "x", "--max-tokens", "0"], "max-tokens"),
        (["generate", "x", "--stop", ""], "--stop"),
        (["generate"], "PROMPT"),
        (["frobnicate"], "frobnicate"),
        (["generate", "x", "--frobnicate"], "--frobnicate"),
        (["logits", "x", "--top", "none"], "none"),
    ],
    ids=["max-tokens-0", "empty-stop", "no-prompt", "unknown-command", "unknown-option", "no-number"],
)
def test_a_wrong_call_is_one_line(arguments, words):
    refused(firstlight(*arguments), words)


def test_an_argument_that_is_no_utf8_is_kept_to_the_byte(model_path):
    """café in Latin-1: the byte E9 is no character, but it is one of the vocabulary's 235 bytes."""
    done = firstlight("tokenize", b"caf\xe9", "--json")
    assert done.returncode == 0 and "".join(json.loads(done.stdout)["bytes"]) == b"caf\xe9".hex()


@pytest.mark.parametrize("delay", one_in(2, [0.5, 3.0, 1.5]))
def test_ctrl_c_ends_cleanly(model_path, delay):
    process = subprocess.Popen(
        [COMMAND, "generate", "Count: 1 2 3 4 5", "--max-tokens", "2000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert process.returncode == 130, error.decode()
    assert b"Traceback" not in error and b"Exception ignored" not in error
    out.decode()  # whole characters


def test_a_reader_that_has_enough_ends_the_run(model_path):
    process = subprocess.Popen(
        [COMMAND, "generate", "Count: 1 2 3 4 5", "--max-tokens", "2000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(4)
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""


def test_an_output_that_cannot_be_written_is_one_line(model_path):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([COMMAND, "generate", "hi", "--max-tokens", "3"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1) and b"cannot be written: No space left" in done.stderr
    closed = f'"{COMMAND}" generate hi --max-tokens 3 >&-'
    done = subprocess.run(["sh", "-c", closed], stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1) and b"standard output is closed" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [("inspect",), ("sample", "hi"), ("logits", "hi"), ("--help",), ("generate", "--help"), ("--version",), ()],
    ids=" ".join,
)
def test_every_command_notices_that_its_output_cannot_be_written(model_path, command):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([COMMAND, *command], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1) and b"cannot be written: No space left" in done.stderr
    words = " ".join(f'"{word}"' for word in (COMMAND, *command))
    done = subprocess.run(["bash", "-c", f"{words} | true; exit ${{PIPESTATUS[0]}}"], stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (0, b""), "a reader that has enough is no error"


def test_without_standard_error_the_text_still_comes(model_path):
    closed = f'"{COMMAND}" generate "The capital of France is" --max-tokens 2 2>&-'
    assert subprocess.run(["sh", "-c", closed], stdout=subprocess.PIPE, timeout=60).stdout == b" Paris.\n"


def test_text_is_utf8_whatever_python_is_told(model_path):
    done = firstlight("sample", "naïve café 🙂", "--top", "3", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and done.stderr == b"" and done.stdout.decode()


@pytest.mark.slow
@pytest.mark.parametrize("command", [("logits", "-"), ("sample", "-"), ("generate", "-", "--no-cache")], ids=" ".join)
def test_ctrl_c_does_not_wait_for_a_long_pass(model_path, command):
    """The end comes between two chunks or two kernels, not after the last."""
    text = b"The quick brown fox jumps over the lazy dog. " * (150 if "--no-cache" in command else 700)
    process = subprocess.Popen([COMMAND, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error.strip()) == (130, b"") and time.monotonic() - began < 15


@pytest.mark.slow
def test_ctrl_c_at_any_moment_ends_with_130(model_path):
    """Two dozen moments from the first import to the last token: no crash, no traceback, no other status."""
    for step in range(24):
        process = subprocess.Popen(
            [COMMAND, "generate", "Hello", "--max-tokens", "4000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        time.sleep(0.3 + 0.1 * step)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130 and b"Traceback" not in error, f"after {0.3 + 0.1 * step:.1f} s: {error.decode()}"


def test_figures_and_progress_go_to_a_terminals_standard_error_only(model_path):
    with Terminal("generate", "The capital of France is", "--max-tokens", "3", only_stderr=True) as terminal:
        shown = terminal.rest(120)  # first: a terminal that nobody reads from makes the command wait
        out = terminal.process.communicate(timeout=120)[0]
    assert out == b" Paris.\n\n"
    assert re.search(r"5 prompt tokens, 3 new \(limit\); prefill [\d.]+ tok/s, decode [\d.]+ tok/s", shown)


def test_help_names_every_command():
    text = firstlight("--help").stdout.decode()
    for name in ("generate", "chat", "tokenize", "inspect", "logits", "sample", "doctor", "fetch"):
        assert name in text
