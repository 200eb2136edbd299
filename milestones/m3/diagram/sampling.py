"""The sampler's diagram: the real logits after a prompt, what each setting leaves of them, and draws."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from milestones.diagrams.device import CONTEXT, Device
from milestones.diagrams.fields import Field, Real, Text, Whole, Wholes
from milestones.diagrams.registry import Diagram, Endpoint
from milestones.m0.diagram.tokenizer import shown
from milestones.m3.sampler import Sampler, Settings, Stages

if TYPE_CHECKING:
    from milestones.diagrams.recorder import Recorder

MOST = 4_000  # bytes of a prompt
LARGEST = 2**32 - 1  # of a seed
ROWS = 24  # tokens in the picture
DRAWS = 1_000
STAGES = ("top_k", "top_p", "min_p")  # in the sampler's order


def _look(device: Device, text: str, appended: list[int], settings: Settings) -> tuple[Sampler, Stages, int]:
    """The sampler with these settings, its stages, and the token that is chosen next. At temperature 0: stages of 1."""
    prompt = device.encode(text)
    logits = device.logits(prompt, appended)
    sampler = device.kept("sampler", lambda: Sampler(device.gpu, device.engine.model.config.vocabulary))
    ids = [*prompt, *appended]
    sampler.settings = settings
    chosen = sampler.choose(logits, ids, len(appended)).id
    sampler.settings = settings if settings.temperature else Settings(temperature=1.0)
    return sampler, sampler.stages(logits, ids), chosen


def look(device: Device, text: str, appended: list[int], rows: int, **settings: Any) -> dict[str, Any]:
    """The likeliest tokens, each with its probability before and after every setting, and the setting that cuts it."""
    asked = Settings(**settings)
    _, seen, chosen = _look(device, text, appended, asked)
    left = [int(np.count_nonzero(getattr(seen, stage))) for stage in STAGES]
    kept = seen.min_p
    if not asked.temperature:
        kept = np.zeros_like(seen.min_p)
        kept[chosen], left = 1.0, [1, 1, 1]
    listed = [_row(device, token, seen, kept, chosen, greedy=not asked.temperature) for token in seen.order[:rows].tolist()]
    said = [{"id": token, "text": shown(device.tokenizer.token_bytes(token))} for token in appended]
    return {
        "rows": listed,
        "left": dict(zip(STAGES, left, strict=True)),
        "size": len(seen.order),
        "chosen": {"id": chosen, "text": shown(device.tokenizer.token_bytes(chosen)), "p": float(kept[chosen])},
        "appended": said,
        "continuation": shown(device.tokenizer.decode(appended)) if appended else "",
        "ended": bool(appended) and appended[-1] in device.tokenizer.ends,
        "tokens": len(device.encode(text)) + len(appended),
    }


def _row(device: Device, token: int, seen: Stages, kept: np.ndarray, chosen: int, *, greedy: bool) -> dict[str, Any]:
    cut = next((stage for stage in STAGES if getattr(seen, stage)[token] == 0), None)
    if greedy:
        cut = None if token == chosen else "temperature"
    return {
        "id": token,
        "text": shown(device.tokenizer.token_bytes(token)),
        "logit": float(seen.logits[token]),
        "own": float(seen.own[token]),
        "tempered": float(kept[token] if greedy else seen.tempered[token]),
        "final": float(kept[token]),
        "cut": cut,
    }


def draws(device: Device, text: str, appended: list[int], rows: int, **settings: Any) -> dict[str, Any]:
    """A thousand draws of this step, with the seed's numbers 0 … 999, counted; beside each token how many are expected."""
    asked = Settings(**settings)
    sampler, seen, chosen = _look(device, text, appended, asked)
    if asked.temperature:
        drawn = sampler.draws(DRAWS)
        counted = np.bincount(drawn, minlength=len(seen.order))
        expected = DRAWS * seen.min_p
    else:
        counted, expected = np.zeros(len(seen.order), np.int64), np.zeros(len(seen.order))
        counted[chosen] = expected[chosen] = DRAWS
    listed = seen.order[:rows]
    return {
        "draws": DRAWS,
        "counts": [{"id": i, "drawn": int(counted[i]), "expected": float(expected[i])} for i in listed.tolist()],
        "others": {"drawn": int(DRAWS - counted[listed].sum()), "expected": float(DRAWS - expected[listed].sum())},
    }


EXAMPLES = (("A cat", "The cat sat on the"), ("A tale", "Once upon a time"), ("A capital", "The capital of France is"))
GROWN = 4  # tokens of a recorded continuation
USUAL = Settings(temperature=0.8, top_k=15, seed=7)  # what the page begins with


def recording(recorder: Recorder) -> None:
    """The logits after each example and after the tokens that the usual settings append; sampling_recorded.js does the rest."""
    device, rows = recorder.device, {}
    for example, (_, text) in enumerate(EXAMPLES):
        with recorder.example(text):
            prompt, appended = device.encode(text), list[int]()
            while True:
                logits = device.logits(prompt, appended).numpy()
                said = shown(device.tokenizer.decode(appended)) if appended else ""
                rows[f"{text}|{','.join(map(str, appended))}"] = {
                    "file": recorder.floats(f"sampling-{example}-{len(appended)}.bin", logits),
                    "tokens": len(prompt) + len(appended),
                    "continuation": said,
                }
                if len(appended) == GROWN or (appended and appended[-1] in device.tokenizer.ends):
                    break
                appended.append(_look(device, text, appended, USUAL)[2])
    texts = [shown(device.tokenizer.token_bytes(token)) for token in range(device.engine.model.config.vocabulary)]
    recorder.files["sampling-tokens.json"] = json.dumps(texts, ensure_ascii=False).encode()
    recorder.data = {"rows": rows, "texts": "sampling-tokens.json", "ends": sorted(device.tokenizer.ends)}


_FIELDS: dict[str, Field] = {
    "text": Text(MOST),
    "appended": Wholes(CONTEXT, Whole(0, 2**31)),
    "temperature": Real(0, 2),
    "top_k": Whole(0, 2**31),
    "top_p": Real(0.01, 1),
    "min_p": Real(0, 1),
    "seed": Whole(0, LARGEST),
    "rows": Whole(1, 200),
}

DIAGRAM = Diagram(
    name="sampling",
    milestone="m3",
    title="Sampling: from logits to a token",
    lead="A forward pass ends in one number for every token of the vocabulary. Which of them is said next is a matter of four "
    "settings and a seed. These are the real logits after your prompt.",
    notes=(
        "The pale bar is a token’s probability at this temperature, before anything is cut; the full one is what it is drawn "
        "with, after all cuts and renormalised, so that the full bars add up to 100 % over all tokens that are left.",
        "Temperature divides the logits before softmax: below 1 the likeliest gain, above 1 the unlikely do. At 0 nothing is "
        "drawn: the largest logit is taken, which is called greedy.",
        "Top-k keeps the k likeliest. Top-p keeps the smallest set of those whose probabilities together reach p, the token "
        "that crosses p included. Min-p keeps what is at least so likely as that part of the likeliest. They act in this "
        "order, each on what the one before has left; a token that is cut says by which.",
        "A draw depends on the seed and on its number alone: the same seed gives the same text, here and in firstlight "
        "generate. A thousand draws scatter around what is expected, by about the square root of it.",
    ),
    files=(
        "milestones/m3/sample.metal", "milestones/m3/softmax.metal", "milestones/m3/argsort.metal",
        "milestones/m3/argmax.metal", "milestones/m3/philox.metal", "milestones/m3/sampler.py",
    ),
    sources=(
        "Inference Engineering (Kiely), §2.2, p. 46",
        "ds4: metal/softmax.metal, metal/argsort.metal; its sampler is in ds4.c",
        "Holtzman et al. 2020 (nucleus sampling)", "Salmon et al. 2011 (Philox)",
    ),
    endpoints={"look": Endpoint(_FIELDS, look), "draws": Endpoint(_FIELDS, draws)},
    model="engine",
    examples=EXAMPLES,
    recording=recording,
    recorded="The logits of the examples and of a few tokens after each are recorded. Settings and draws are computed from "
    "them in the page.",
)  # fmt: skip
