"""The residual stream's diagram: how long it is from layer to layer, what each block adds, and what RMSNorm makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from milestones.diagrams.device import Device
from milestones.diagrams.fields import Field, OneOf, Text, Whole
from milestones.diagrams.registry import Diagram, Endpoint
from milestones.errors import UserError
from milestones.m2.diagram.parts import parts, sublayers
from milestones.m2.diagram.passes import EXAMPLES, TOKENS, Pass, named, passed, prompt

if TYPE_CHECKING:
    from milestones.diagrams.recorder import Recorder

MOST = 2_000  # bytes of a prompt
LARGEST = 8  # elements that are listed
PARTS = ("attention", "ffn")  # of a block, in their order


def norms(device: Device, text: str) -> dict[str, Any]:
    """Lengths, [token][block]: of the stream before each block (and after the last), after its attention, of what is added."""
    seen = passed(device, prompt(device, text))
    made = parts(device, seen)
    return {
        "tokens": named(device, seen.ids),
        "blocks": len(made.ffn),
        "width": seen.stream.shape[2],
        "before": _lengths(seen.stream),
        "between": _lengths(made.between),
        "attention": _lengths(made.attention),
        "ffn": _lengths(made.ffn),
    }


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """(blocks, tokens, width) → (tokens, blocks), to six digits."""
    found = np.linalg.norm(vectors.astype(np.float64), axis=2).T
    return np.vectorize(lambda x: float(f"{x:.6g}"), otypes=[np.float64])(found)


def look(device: Device, text: str, token: int, layer: int, part: str) -> dict[str, Any]:
    """RMSNorm before a part of a block, for one token: the vector, divided by its RMS, times the weight; what the part adds.

    `without` is what this one part would add if it were given the stream as it is, not the norm of it.
    """
    seen = passed(device, prompt(device, text))
    blocks, tokens = len(seen.stream) - 1, len(seen.ids)
    if layer >= blocks or token >= tokens:
        raise UserError(f"there are {blocks} layers and {tokens} tokens, numbered from 0: no layer {layer} or token {token}")
    made = parts(device, seen)
    stream, added = (seen.stream, made.attention) if part == "attention" else (made.between, made.ffn)
    run, gpu = sublayers(device), device.gpu
    w, x = run.model.blocks[layer], stream[layer, token]
    weight = w["attn_norm" if part == "attention" else "ffn_norm"]
    eps, row = run.model.config.eps, gpu.tensor(x[None])
    divided, normed = run.norm(row, gpu.tensor(np.ones_like(x)), eps=eps), run.norm(row, weight, eps=eps)
    raw = gpu.tensor(stream[layer, : token + 1])
    without = run.attention(layer, raw) if part == "attention" else run.ffn(w, row)
    gpu.sync()
    vectors = {"x": x, "divided": divided.numpy()[0], "weight": weight.numpy(), "normed": normed.numpy()[0]}
    largest = np.argsort(-np.abs(x), kind="stable")[:LARGEST]
    return {
        "vectors": {name: vectors[name] for name in ("x", "divided", "normed")},
        "rms": {name: _rms(vector) for name, vector in vectors.items()},
        "eps": eps,
        "largest": [{"at": i, **{name: float(v[i]) for name, v in vectors.items()}} for i in largest.tolist()],
        "share": float(np.square(x[largest], dtype=np.float64).sum() / np.square(x, dtype=np.float64).sum()),
        "added": _length(added[layer, token]),
        "without": _length(without.numpy()[-1]),
        "length": _length(x),
        "after": _length(_after(seen, made.between, layer, token, part)),
    }


def _after(seen: Pass, between: np.ndarray, layer: int, token: int, part: str) -> np.ndarray:
    return between[layer, token] if part == "attention" else seen.stream[layer + 1, token]


def _length(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))


def _rms(vector: np.ndarray) -> float:
    return _length(vector) / float(np.sqrt(vector.size))


def recording(recorder: Recorder) -> None:
    """The stream and the lengths that take the model to know, for each example; residual_recorded.js does the rest."""
    device, made = recorder.device, {}
    model = sublayers(device).model
    c = model.config
    for number, (_, text) in enumerate(EXAMPLES):
        with recorder.example(text):
            seen = passed(device, prompt(device, text))
            every = [
                look(device, text, token, layer, part)
                for part in PARTS
                for layer in range(c.blocks)
                for token in range(len(seen.ids))
            ]
            lengths = [np.array([one[what] for one in every]) for what in ("added", "without")]
            file = recorder.floats(f"residual-{number}.bin", seen.stream, parts(device, seen).between, *lengths)
            made[text] = {"file": file, "tokens": named(device, seen.ids)}
    norms = [block[f"{name}_norm"].numpy() for name in ("attn", "ffn") for block in model.blocks]
    weights = recorder.floats("residual-weights.bin", *norms)
    recorder.data = {"examples": made, "weights": weights, "blocks": c.blocks, "width": c.width, "eps": c.eps}


_TEXT: dict[str, Field] = {"text": Text(MOST)}

DIAGRAM = Diagram(
    name="residual",
    milestone="m2",
    title="Residual stream: every block adds, RMSNorm levels",
    lead="Each token travels through the model as one vector. No block replaces it: attention adds something to it, the "
    "feed-forward part adds something, thirty times over. Before each of them, RMSNorm makes a levelled copy to read from.",
    notes=(
        "The curve is the length of the chosen token’s vector: a circle before each block, a square between its attention and "
        "its feed-forward part (FFN). Thin lines are the other tokens. The bars below are the lengths of what is added.",
        "Lengths do not add up as numbers do: a part that points against the stream makes it shorter. The stream grows all "
        "the same, so that late blocks must add more to be heard, and they do.",
        "RMSNorm divides the vector by its root mean square, √(mean of x² + ε), and multiplies each element by a learned "
        "weight. Whatever the stream’s length, its RMS is 1 before the weight: the direction stays. What comes of it is "
        "read by attention or the FFN alone; the stream itself is left as it is.",
        "The first token of a text is often many times as long as the others, in a few elements alone: a place for attention "
        "to rest on. RMSNorm brings it to the others’ length before it is read.",
        "Without the norm: what this one part would add if it read the stream as it is. Everything before it is the model’s "
        "normal run, and no part after it is run again.",
    ),
    files=(
        "milestones/m2/rms_norm.metal", "milestones/m2/add.metal", "milestones/m2/matmul.metal", "milestones/m2/swiglu.metal",
        "milestones/m2/model.py", "milestones/m2/diagram/parts.py",
    ),
    sources=(
        "Inference Engineering (Kiely), §2.2.2, p. 50",
        "ds4: metal/norm.metal",
        "Zhang and Sennrich 2019 (RMSNorm)",
        "Sun et al. 2024 (massive activations)",
    ),
    endpoints={
        "norms": Endpoint(_TEXT, norms),
        "look": Endpoint(
            {**_TEXT, "token": Whole(0, TOKENS - 1), "layer": Whole(0, 1_000), "part": OneOf(PARTS)}, look
        ),
    },
    model="naive",
    examples=EXAMPLES,
    recording=recording,
    recorded="The stream, the weights of the norms and the lengths of what is added, with the norm and without, are recorded "
    "for the examples. Norms and all other lengths are computed from them in the page.",
)  # fmt: skip
