"""Attention's diagram: real weights of every head for a prompt, and the output as the weighted sum of the values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from milestones.diagrams.device import Device
from milestones.diagrams.fields import Field, Flag, Text, Whole
from milestones.diagrams.registry import Diagram, Endpoint
from milestones.errors import UserError
from milestones.m2.diagram.passes import EXAMPLES, TOKENS, Pass, named, passed, prompt, sizes
from milestones.m2.diagram.weights import Weights
from milestones.m2.matmul import Matmul

if TYPE_CHECKING:
    from milestones.diagrams.recorder import Recorder

MOST = 2_000  # bytes of a prompt
PARTS = 4  # values drawn by themselves; the others are drawn as one


def _pass(device: Device, text: str, layer: int) -> tuple[Pass, Weights]:
    ids, blocks = prompt(device, text), device.naive.model.config.blocks
    if layer >= blocks:
        raise UserError(f"the model has {blocks} layers, numbered from 0: there is no layer {layer}")
    return passed(device, ids), device.kept("attention weights", lambda: Weights(device.gpu))


def maps(device: Device, text: str, layer: int, masked: bool) -> dict[str, Any]:
    """The weights of all heads of a layer, [head][query][token], to four places; and what the model is made of."""
    seen, weights = _pass(device, text, layer)
    config = device.naive.model.config
    found = weights(seen.q[layer], seen.k[layer], masked=masked)
    return {
        "tokens": named(device, seen.ids),
        "weights": np.round(found.astype(np.float64), 4),
        "blocks": config.blocks,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "d": config.head_dim,
    }


def look(device: Device, text: str, layer: int, head: int, query: int, masked: bool) -> dict[str, Any]:
    """What one query of one head makes of every token: score, weight, the value's length; and their sum, the output.

    `parts` are the PARTS longest weighted values, `others` all others together.
    """
    seen, weights = _pass(device, text, layer)
    q, k, v, heads = seen.q[layer], seen.k[layer], seen.v[layer], seen.q.shape[2]
    if head >= heads or query >= len(seen.ids):
        raise UserError(f"there are {heads} heads and {len(seen.ids)} tokens, numbered from 0: no head {head} or token {query}")
    shared = head // (heads // k.shape[1])
    if masked:
        row, output = weights(q, k, masked=True)[head, query], seen.mixed[layer, query, head]
    else:
        asked = q[query : query + 1]
        row, output = weights(asked, k, masked=False)[head, 0], weights.everywhere(asked, k, v)[0, head]
    values = v[:, shared].astype(np.float64)
    parts = row[:, None] * values
    sizes = np.linalg.norm(parts, axis=1)
    drawn = sorted(np.argsort(-sizes, kind="stable")[:PARTS].tolist())
    drawn = [token for token in drawn if row[token]]
    others = [token for token in range(len(row)) if row[token] and token not in drawn]
    return {
        "kv_head": shared,
        "score": _scores(device, q[query, head], k[:, shared]),
        "weight": row,
        "value": np.linalg.norm(values, axis=1),
        "part": sizes,
        "parts": [{"token": token, "vector": parts[token]} for token in drawn],
        "others": {"count": len(others), "vector": parts[others].sum(axis=0)},
        "output": output,
        "norm": float(np.linalg.norm(output.astype(np.float64))),
    }


def _scores(device: Device, q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """q · k / √d of each key, the masked ones too."""
    gpu = device.gpu
    found = device.kept("matmul", lambda: Matmul(gpu))(gpu.tensor(q[None]), gpu.tensor(k))
    gpu.sync()
    return found.numpy()[0] / np.float32(len(q) ** 0.5)


def recording(recorder: Recorder) -> None:
    """Queries, keys, values and outputs of every layer for each example; attention_recorded.js does the rest."""
    device, made = recorder.device, {}
    for number, (_, text) in enumerate(EXAMPLES):
        with recorder.example(text):
            seen = passed(device, prompt(device, text))
            file = recorder.floats(f"attention-{number}.bin", seen.q, seen.k, seen.v, seen.mixed)
            made[text] = {"file": file, "tokens": named(device, seen.ids)}
    c = device.naive.model.config
    recorder.data = {"examples": made, "blocks": c.blocks, "heads": c.heads, "kv_heads": c.kv_heads, "d": c.head_dim}


_LAYER: dict[str, Field] = {"text": Text(MOST), "layer": Whole(0, 1_000), "masked": Flag()}

DIAGRAM = Diagram(
    name="attention",
    milestone="m2",
    title="Attention: every token looks back",
    lead="Inside a block each token mixes in what it finds in the tokens before it: a weighted mean of their values. How "
    "much of which, every head decides by itself. These are the model’s own weights for your prompt.",
    notes=(
        "The chosen token asks with its query; every token answers with its key. Query times key, over √d, is the score; "
        "softmax makes weights of the scores, which add up to 100 %. The output is the values, each times its weight, added "
        "up.",
        "A heat map has a row for each query and a column for each token that may be looked at: the fuller a square, the "
        "larger the weight. Heads differ: some look one token back, some at the noun that a pronoun stands for, and many put "
        "most of their weight on the first token.",
        "The causal mask leaves out what comes later, as it must when text is written: those words do not exist yet. Without "
        "it you see what this one layer would do with the queries, keys and values that it has from the causal run; no "
        "other layer is run again.",
        "Several query heads share one head of keys and values (grouped-query attention), so that less is kept for each "
        "token. They read the same keys with different queries, and find different things.",
        "The kernel never stores its weights. To hand them out it runs once more, with unit vectors for values: what it adds "
        "up is then the list of the weights. With the mask, the output is that of the model’s own run; without it, the same "
        "kernel computes it. Scores come from the matmul kernel.",
    ),
    files=(
        "milestones/m2/attention.metal",
        "milestones/m2/matmul.metal",
        "milestones/m2/model.py",
        "milestones/m2/diagram/weights.py",
        "milestones/m2/diagram/passes.py",
    ),
    sources=(
        "Inference Engineering (Kiely), §2.2.3, p. 52",
        "ds4: metal/flash_attn.metal, metal/softmax.metal",
        "Vaswani et al. 2017 (attention)",
        "Ainslie et al. 2023 (GQA)",
    ),
    endpoints={
        "sizes": Endpoint({}, sizes),
        "maps": Endpoint(_LAYER, maps),
        "look": Endpoint({**_LAYER, "head": Whole(0, 1_000), "query": Whole(0, TOKENS - 1)}, look),
    },
    model="naive",
    examples=EXAMPLES,
    recording=recording,
    recorded="Queries, keys, values and outputs of every layer are recorded for the examples. Scores, weights and sums, and "
    "the output without the mask, are computed from them in the page.",
)
