"""Damaged GGUF files by the thousand, and in CI by the million: each is read or refused in one line, and costs nothing.

A damaged file is taken as far as a model is: header, sizes, tensors against what they imply, tokenizer, every tensor's bytes.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import struct
import time
from pathlib import Path

import pytest

from milestones.errors import UserError
from milestones.m1.config import implied_tensors
from milestones.m1.gguf_model import GgufModel
from milestones.m1.model_file import check_tensors
from milestones.m1.test_gguf_file import HUGE, array, entry, gguf_bytes, pair, text
from milestones.m1.test_weights import CONFIG, KEYS

EXTREMES = [struct.pack("<Q", n) for n in (0, 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63, HUGE)] + [b"\xff" * 4, bytes(4)]
MEMORY = 64 << 20  # bytes that reading a file of some kilobytes may take on top; a believed count would take more
SLOWEST = 2.0  # seconds for one file; a right one takes a ten-thousandth of that


def a_model() -> bytes:
    """A whole small model: every key of its sizes, 33 tokens, a merge, 20 tensors of zeros."""
    kinds = {str: (8, text), int: (4, lambda n: struct.pack("<I", n)), float: (6, lambda x: struct.pack("<f", x))}
    pairs = [pair(key, kinds[type(value)][0], kinds[type(value)][1](value)) for key, value in KEYS.items()]
    tokens = [*"abcdefghijklmnopqrstuvwxyzABCDE", "ab", "<|endoftext|>"]
    pairs += [
        pair("tokenizer.ggml.model", 8, text("gpt2")),
        pair("tokenizer.ggml.tokens", 9, array(8, b"".join(map(text, tokens)), 33)),
        pair("tokenizer.ggml.token_type", 9, array(5, struct.pack("<33i", *[1] * 32, 3), 33)),
        pair("tokenizer.ggml.merges", 9, array(8, text("a b"), 1)),
        pair("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 32)),
        pair("tokenizer.chat_template", 8, text("{{ messages }}")),
    ]
    at, entries = 0, []
    for name, shape in implied_tensors(CONFIG):
        size = 4
        for n in shape:
            size *= n
        entries.append(entry(name, list(shape[::-1]), 0, at))
        at += -(-size // 32) * 32
    return gguf_bytes(pairs, entries, bytes(at))


WHOLE = [gguf_bytes(), a_model()]
HEADER = [len(WHOLE[0]), WHOLE[1].rindex(b"ffn_down.weight") + 60]  # where damage matters: the rest are a tensor's bytes
BEGINS, RESTS = zip(*((whole[: end + 64], whole[end + 64 :]) for whole, end in zip(WHOLE, HEADER, strict=True)), strict=True)


def damaged(rng: random.Random) -> bytes:
    """Bytes flipped, fields overwritten by extremes, pieces cut, doubled, swapped: one to four of these in the header."""
    which = rng.randrange(8) != 0
    data, end = bytearray(BEGINS[which]), HEADER[which]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        end = min(end, len(data))
        at, kind = rng.randrange(end), rng.randrange(5)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            value = rng.choice(EXTREMES)
            data[at : at + len(value)] = value
        elif kind == 2:
            del data[at : at + rng.randint(1, 16)]
        elif kind == 3:
            data[at:at] = data[at : at + rng.randint(1, 64)]
        else:
            other = rng.randrange(end)
            data[at], data[other] = data[other], data[at]
    return bytes(data) + RESTS[which]


def read(content: bytes) -> str:
    """How far it is taken: "refused" at the header, "no model", or "whole". Anything but a UserError of one line escapes."""
    state = "refused"
    try:
        file = GgufModel("model.gguf", content)
        state = "no model"
        for name, info in file.tensors.items():
            assert 0 <= info.offset <= info.offset + info.nbytes <= len(content), "a tensor outside the file"
            assert info.nbytes == 0 or len(file.raw(name)) == info.nbytes
        check_tensors(file, file.config())
        file.vocabulary()
        state = "whole"
    except UserError as problem:
        assert str(problem).isprintable() and len(str(problem)) < 2000, f"not one line: {problem!r}"
    return state


def test_the_files_that_are_damaged_are_right_themselves():
    assert [read(content) for content in WHOLE] == ["no model", "whole"]


def test_three_thousand_damaged_files_are_read_or_refused_never_worse():
    rng = random.Random(20240)
    states = [read(damaged(rng)) for _ in range(3000)]
    assert all(states.count(state) > 100 for state in ("refused", "no model", "whole")), "all three must occur"


def _share(seed: int, count: int, answer) -> None:
    """In a process of its own: its memory bounded, an alarm for what never ends."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    rng, states, slowest = random.Random(seed), {"refused": 0, "no model": 0, "whole": 0}, 0.0
    for _ in range(count):
        content = damaged(rng)
        signal.setitimer(signal.ITIMER_REAL, 30)  # its default action ends the process
        began = time.perf_counter()
        states[read(content)] += 1
        slowest = max(slowest, time.perf_counter() - began)
    answer.send((states, slowest))


@pytest.mark.slow
@pytest.mark.long
def test_a_million_damaged_files_are_read_or_refused_never_worse():
    """No crash, no hang, no allocation from a forged count, no byte from outside the file."""
    shares = []
    for seed in (1, 2):
        here, there = multiprocessing.get_context("spawn").Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=_share, args=(seed, 500_000, there))
        process.start()
        there.close()
        shares.append((process, here))
    total = 0
    for process, here in shares:
        try:
            states, slowest = here.recv()
        except EOFError:
            pytest.fail(f"a process ended with status {process.exitcode}")
        process.join()
        assert process.exitcode == 0 and slowest < SLOWEST, f"one file took {slowest:.1f} s"
        assert all(number > 10_000 for number in states.values()), f"all three must occur: {states}"
        total += sum(states.values())
    assert total == 1_000_000


def test_memory_taken_from_a_forged_count_would_be_noticed():
    """The bound above can fail: in such a process, 128 MB are not to be had."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_greedy)
    process.start()
    process.join(30)
    assert process.exitcode == 3


def _greedy() -> None:
    class Answer:
        @staticmethod
        def send(result) -> None:
            try:
                bytearray(2 * MEMORY)
            except MemoryError:
                os._exit(3)

    _share(0, 1, Answer)
