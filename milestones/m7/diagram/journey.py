"""The data's journey: a prompt through every stage of the loop, and then one token, with the tensors' shapes and the times."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from metal.timed import empty_runs
from milestones.diagrams.device import Device
from milestones.diagrams.fields import OneOf, Text
from milestones.diagrams.registry import Diagram, Endpoint
from milestones.m0.diagram.tokenizer import shown as said
from milestones.m2.diagram.passes import prompt
from milestones.m3.sampler import Choice
from milestones.m6.model import FastModel
from milestones.m6.prefill import FEWEST
from milestones.m7.diagram.stages import DECODE, KERNELS, NAIVE, PREFILL, TEXT, TOKENS, Plan, Stage
from milestones.m7.diagram.traced import Run, Sorted, Teller, microseconds, named, shown, split, timed, times, weights
from milestones.m7.loop import Loop

if TYPE_CHECKING:
    from milestones.diagrams.recorder import Recorder

MOST = 2_000  # bytes of a prompt
ROUNDS = 3  # of each pass; the figures are medians
EXAMPLES = (
    ("A fact", "The capital of France is"),
    ("A mat", "The cat sat on the mat because it was tired."),
    ("Two words", "Hello brave"),
    ("A whole turn", "<|im_start|>user\nSay yes.<|im_end|>\n<|im_start|>assistant\nYes."),  # which the model ends
)
HOST = Stage(
    "Text to bytes", "On the host, by no kernel: the text as UTF-8, cut into words, numbers and marks.", "tokenizer", (), (), ()
)


def journey(device: Device, text: str, kernels: str) -> dict[str, Any]:
    """Both passes, the prompt's and, if the model has not ended the text, one decode step.

    A pass has `before`, `blocks` and `after`: stages in order, each with its runs' times in whole µs; `total` is their sum. A
    block's stages are described once for all blocks that are alike: `blocks[b]` has their `kind` and its own times.
    """
    ids = prompt(device, text)
    model, gpu, tokenizer = (device.naive if kernels == "naive" else device.engine).model, device.gpu, device.tokenizer
    loop = Loop(gpu, model, capacity=len(ids) + 1)
    waited = device.kept("an empty run", lambda: empty_runs(gpu)[0])
    host, chosen = list[float](), list[Choice]()

    def encode_and_prefill() -> None:
        loop.rewind(0)
        done, began = len(gpu.calls), time.perf_counter()
        fed = [*tokenizer.prefix, *tokenizer.encode(text)]
        taken = time.perf_counter() - began
        if gpu.timing:
            host.append(taken - sum(seconds for _, seconds in gpu.calls[done:]))
        write(loop.prefill(fed))

    def step() -> None:
        loop.rewind(len(ids))
        write(loop.prefill([first.id]))  # a step that leaves its logits

    def write(choice: Choice) -> None:
        chosen[:] = [choice]
        tokenizer.decode([choice.id])

    def told(name: str, once: Callable[[], None], start: int, tokens: int) -> dict[str, Any]:
        runs, whole = timed(gpu, once, ROUNDS, waited)
        return {"name": name, "start": start, "tokens": tokens, "whole": microseconds(whole)} | _pass(
            device, model, Sorted(runs), start, tokens, chosen[0], (text, host) if start == 0 else None
        )

    passes = [told("prompt", encode_and_prefill, 0, len(ids))]
    first = chosen[0]
    if first.id not in tokenizer.ends:
        passes.append(told("decode", step, len(ids), 1))
    return {
        "kernels": "naive" if not isinstance(model, FastModel) else "fast",
        "tokens": [{"id": token, "text": said(tokenizer.token_bytes(token))} for token in ids],
        "empty": waited * 1e6,
        "passes": passes,
    }


def _pass(
    device: Device, model: Any, runs: Sorted, start: int, tokens: int, choice: Choice, text: tuple[str, list[float]] | None
) -> dict[str, Any]:
    fast, config = isinstance(model, FastModel), model.config
    rounds = tokens if fast and tokens < FEWEST else 1
    plan: Plan = NAIVE if not fast else PREFILL if tokens >= FEWEST else DECODE
    before = _encoded(runs.take(TOKENS), *text, tokens) if text else []
    found = split(runs, plan, config, rounds)
    teller = Teller(weights(model), start + tokens - tokens // rounds, tokens // rounds)

    def one(stage: Stage, given: Sequence[Run], rows: int = 0) -> dict[str, Any]:
        return teller.stage(stage, given[-len(given) // rounds :] if rounds > 1 else given, rows=rows)

    before += [
        {**one(stage, of, teller.tokens), "us": [r.us for r in of]} for stage, of in zip(plan.before, found[0], strict=True)
    ]
    kinds: list[list[dict[str, Any]]] = []
    of_block: list[int] = []
    for layer, part in enumerate(found[1:-1]):
        stages = [one(stage, of) for stage, of in zip(plan.stages(config, layer), part, strict=True)]
        if stages not in kinds:
            kinds.append(stages)
        of_block.append(kinds.index(stages))
    inner = [times(part) for part in found[1:-1]]
    after = [{**teller.stage(stage, of), "us": [r.us for r in of]} for stage, of in zip(plan.after, found[-1], strict=True)]
    after[-1]["outs"] = [shown("id", (1,), "uint32", 4)]
    after.append(_decoded(device, runs.take(TEXT), choice))
    runs.end()
    total = sum(sum(one["us"]) for one in before + after) + sum(sum(map(sum, block)) for block in inner)
    return {
        "rounds": rounds,
        "before": before,
        "kinds": kinds,
        "blocks": [{"kind": kind, "us": us} for kind, us in zip(of_block, inner, strict=True)],
        "after": after,
        "total": total,
        "chosen": {
            "id": choice.id,
            "text": said(device.tokenizer.token_bytes(choice.id)),
            "probability": math.exp(choice.logprob),
            "ends": choice.id in device.tokenizer.ends,
        },
    }


def _encoded(runs: Sequence[Run], text: str, host: Sequence[float], tokens: int) -> list[dict[str, Any]]:
    size = len(text.encode())
    as_bytes = shown("bytes", (size,), "uint8", size)
    ids = shown("ids", (tokens,), "uint32", 4 * tokens)
    cut = {"ins": [shown("text", (len(text),), "characters", size)], "weights": [], "outs": [as_bytes]}
    merged = {"ins": [as_bytes], "weights": [], "outs": [ids]}
    middle = sorted(host)[len(host) // 2]
    return [
        {**named(HOST, []), **cut, "us": [microseconds(middle)]},
        {**named(TOKENS, [run.file for run in runs]), **merged, "us": [run.us for run in runs]},
    ]


def _decoded(device: Device, runs: Sequence[Run], choice: Choice) -> dict[str, Any]:
    size = len(device.tokenizer.token_bytes(choice.id))
    turned = {
        "ins": [shown("id", (1,), "uint32", 4)], "weights": [], "outs": [shown("bytes", (size,), "uint8", size)],
    }  # fmt: skip
    return {**named(TEXT, [run.file for run in runs]), **turned, "us": [run.us for run in runs]}


def recording(recorder: Recorder) -> None:
    """Every example by both sets of kernels."""
    for _, text in EXAMPLES:
        with recorder.example(text):
            for kernels in ("naive", "fast"):
                recorder.ask("journey", text=text, kernels=kernels)


DIAGRAM = Diagram(
    name="journey",
    milestone="m7",
    title="The data’s journey: one prompt through every stage",
    lead="Text becomes bytes, bytes become numbers, numbers become vectors; thirty blocks later a vector becomes a score "
    "for every token there is, and one token becomes text. These are the real tensors of your prompt, and how long "
    "each stage took.",
    notes=(
        "Each line is a stage: what goes in, which weights are read, what comes out, with shape, type of number and size. "
        "A shape of 5 × 9 × 64 is 5 tokens of 9 heads of 64 numbers. The file behind a stage is the kernel that ran; its "
        "time is the sum of its runs.",
        "The prompt goes through all at once: its tensors have a row a token. After it, every new token is a pass of its "
        "own, with one row: the decode step. It reads all the weights again for that one row, so it costs more than its "
        "share of the prompt did.",
        "The plain kernels, of m1 to m4, are one a stage and read weights as 32-bit floats. The fast ones, of m6, read "
        "the packed weights as the file has them, and in a decode step one kernel does several stages: five runs a block "
        "where the plain ones take fifteen.",
        "A vector that is “prepared” stands with the sums and squares of its blocks of 32 behind it, for the next "
        "kernel’s product and norm.",
        "Each kernel run is waited for, which the engine does not do, and the time of an empty run is taken off. The "
        "medians of a few passes are shown in whole microseconds, none below one, so the total is the sum of what you "
        "see. End to end is the same pass with nothing waited for in between: it holds the host’s work too, and the "
        "queueing. Everything runs on the device of this machine; ratios say more than milliseconds.",
    ),
    files=(
        *(f"milestones/{file}.metal" for file in KERNELS), "metal/timed.py", "milestones/m7/loop.py",
        "milestones/m7/diagram/traced.py",
    ),
    sources=("Inference Engineering (Kiely), §2.2, p. 46; §2.4, p. 61", "ds4: ds4.c"),
    endpoints={"journey": Endpoint({"text": Text(MOST), "kernels": OneOf(("naive", "fast"))}, journey)},
    model="naive",
    examples=EXAMPLES,
    recording=recording,
    recorded="Both passes of the examples are recorded with their times, by both sets of kernels.",
)  # fmt: skip
