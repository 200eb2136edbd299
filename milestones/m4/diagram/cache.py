"""The cache's diagram: the loop stepped with the cache and without, both measured; rewind, fork, and the rows themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from metal.tensor import Tensor
from milestones.diagrams.device import Device, Recent, require_appended
from milestones.diagrams.fields import Field, OneOf, Text, Whole, Wholes
from milestones.diagrams.registry import Diagram, Endpoint
from milestones.errors import UserError
from milestones.m0.diagram.tokenizer import shown
from milestones.m2.attention import Attention
from milestones.m3.argsort import Argsort
from milestones.m3.softmax import Softmax
from milestones.m4.cache import KvCache
from milestones.m4.diagram.held import LIMIT, Held, Loop, Origin, bytes_a_token
from milestones.m4.diagram.recorded import DTYPES, EXAMPLES, recording

MOST = 1_000  # bytes of a prompt
LONGEST = 48  # tokens of one
NEXT = 5  # tokens to choose the next from
ELEMENTS = 8  # of a row that are shown


def _ids(device: Device, text: str, appended: list[int]) -> tuple[list[int], Held]:
    """Prompt and what came after it, as ids, and the kept loops. Raises UserError where they are too many, or no tokens."""
    prompt = device.encode(text)
    if len(prompt) > LONGEST:
        raise UserError(f"the prompt is {len(prompt)} tokens, this picture takes {LONGEST}: shorten it")
    if len(prompt) + len(appended) > LIMIT:
        raise UserError(
            f"{len(prompt) + len(appended)} tokens are more than this picture’s {LIMIT}: rewind, or shorten the prompt"
        )
    require_appended(appended, device.naive.model.config.vocabulary)
    return [*prompt, *appended], device.kept("m4 cache", lambda: Held(device))


def step(device: Device, text: str, appended: list[int], dtype: str) -> dict[str, Any]:
    """Feed the last token (at first the whole prompt) to a loop with a cache and to one without; both are timed."""
    ids, held = _ids(device, text, appended)
    fed = 1 if appended else len(ids)
    loop, origin = held.holding(ids[:-fed], dtype)
    bare = held.new(None)
    bare.ids[:] = ids[:-fed]
    stored = loop.cache.rows_stored
    cached = _timed(device, loop, ids[-fed:])
    layers = device.naive.model.config.blocks
    cached["rows"] = (loop.cache.rows_stored - stored) // layers  # the cache's own counter
    row = cached.pop("logits")
    uncached = _timed(device, bare, ids[-fed:])
    apart = float(np.abs(row - uncached.pop("logits")).max())
    return {
        "tokens": [{"id": token, "text": shown(device.tokenizer.token_bytes(token))} for token in ids],
        "prompt": len(ids) - len(appended),
        "start": len(ids) - fed,
        "layers": layers,
        "cached": cached,
        "uncached": uncached,
        "apart": apart,
        "next": _next(device, row),
        "ended": bool(appended) and appended[-1] in device.tokenizer.ends,
        "limit": LIMIT,
        "memory": _memory(device, loop.cache),
        "origin": _told(origin),
    }


def _timed(device: Device, loop: Loop, ids: Sequence[int]) -> dict[str, Any]:
    """One step of a loop: its milliseconds, the rows of K (as many of V) computed in each layer, and the logits."""
    model = device.naive.model
    rows = model.kv_rows

    def run() -> Tensor:
        logits = loop.logits(ids)
        device.gpu.sync()
        return logits

    ms, logits = _clocked(run)
    return {"ms": ms, "rows": (model.kv_rows - rows) // model.config.blocks, "logits": logits.numpy()[0].copy()}


def _clocked(run: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds, and what came of it."""
    began = time.perf_counter()
    made = run()
    return 1e3 * (time.perf_counter() - began), made


def _next(device: Device, logits: np.ndarray) -> list[dict[str, Any]]:
    """The likeliest next tokens with their probabilities, by m3's kernels."""
    row = device.gpu.tensor(logits[None])
    p, order = Softmax(device.gpu)(row), Argsort(device.gpu)(row)
    device.gpu.sync()
    likeliest = order.numpy()[0, :NEXT].tolist()
    return [{"id": i, "text": shown(device.tokenizer.token_bytes(i)), "p": float(p.numpy()[0, i])} for i in likeliest]


def _memory(device: Device, cache: KvCache) -> dict[str, int]:
    """Bytes: of a token, of those that are held, of the whole cache as it was made, and of one for the model's context."""
    token, config = bytes_a_token(cache), device.naive.model.config
    return {
        "token": token, "used": token * cache.length, "allocated": cache.nbytes, "capacity": cache.capacity,
        "context": config.context, "full": token * config.context, "kv_heads": config.kv_heads, "head_dim": config.head_dim,
        "element": cache.dtype.itemsize,
    }  # fmt: skip


def _told(origin: Origin) -> dict[str, int]:
    return {"copied": origin.copied, "fed": origin.fed}


def rewind(device: Device, text: str, appended: list[int], dtype: str, to: int) -> dict[str, Any]:
    """Forget the tokens from `to` on: one number is lowered, the rows stay where they are until others are stored there."""
    ids, held = _ids(device, text, appended)
    if not len(ids) - len(appended) <= to <= len(ids):
        raise UserError(f"to must lie from {len(ids) - len(appended)}, the prompt, to {len(ids)}, what is there")
    loop, origin = held.holding(ids, dtype)
    ms, _ = _clocked(lambda: loop.rewind(to))
    return {"was": len(ids), "length": loop.cache.length, "ms": ms, "allocated": loop.cache.nbytes, "origin": _told(origin)}


def fork(device: Device, text: str, appended: list[int], dtype: str) -> dict[str, Any]:
    """A second loop with the same tokens: its cache is a copy, and goes its own way from here."""
    ids, held = _ids(device, text, appended)
    loop, origin = held.holding(ids, dtype)

    def run() -> Loop:
        made = loop.fork()
        device.gpu.sync()
        return made

    ms, made = _clocked(run)
    held.keep(made, dtype)
    copied = bytes_a_token(made.cache) * made.cache.length
    return {"length": made.cache.length, "ms": ms, "bytes": copied, "allocated": made.cache.nbytes, "origin": _told(origin)}


def cell(device: Device, text: str, appended: list[int], dtype: str, layer: int, token: int) -> dict[str, Any]:
    """One token's key and value in one layer as the cache keeps them, and how far they are from the same, computed anew."""
    ids, held = _ids(device, text, appended)
    config = device.naive.model.config
    if layer >= config.blocks or token >= len(ids):
        raise UserError(f"layer must be below {config.blocks} and token below {len(ids)}")
    loop, _ = held.holding(ids, dtype)
    kept = [tensor.numpy()[token].astype(np.float32) for tensor in loop.cache.tensors(layer)]
    anew = [rows[layer, token] for rows in _anew(device, ids)]
    return {
        name: {
            "norms": np.linalg.norm(row.astype(np.float64), axis=1),
            "elements": row[0, :ELEMENTS],
            "anew": other[0, :ELEMENTS],
            "apart": np.abs(row - other).max(),
            "largest": np.abs(row).max(),
        }
        for name, row, other in zip(("k", "v"), kept, anew, strict=True)
    } | {"layer": layer, "token": token, "length": len(ids)}


def _anew(device: Device, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Keys and values (layers, tokens, kv_heads, d) of a pass without a cache; those of the last text are kept."""
    last: Recent[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = device.kept("m4 anew", lambda: Recent(1))

    def make() -> tuple[np.ndarray, np.ndarray]:
        keys, values, attention = list[np.ndarray](), list[np.ndarray](), Attention(device.gpu)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> Tensor:
            device.gpu.sync()
            keys.append(k.numpy().copy())
            values.append(v.numpy().copy())
            return attention(q, k, v, out)

        device.naive.model.forward(ids, attend)
        device.gpu.sync()
        return np.stack(keys), np.stack(values)

    return last(tuple(ids), make)


_FIELDS: dict[str, Field] = {
    "text": Text(MOST),
    "appended": Wholes(LIMIT, Whole(0, 2**31)),
    "dtype": OneOf(DTYPES),
}

DIAGRAM = Diagram(
    name="cache",
    milestone="m4",
    title="KV cache: don’t recompute the past",
    lead="To say the next token, attention needs the keys and values of every earlier one. They never change, so each is "
    "computed once and kept. Step the loop and see what either way computes, and how long it takes.",
    notes=(
        "Each cell is one token in one layer: on its left a row of K, on its right a row of V. Full cells were computed in "
        "this step; small dots were read from the cache; empty dashed cells were left behind by a rewind and are never read.",
        "Every step is run twice on the same tokens, with the cache and without, and timed both times; the switch says which "
        "of the two the cells show. With the cache a step computes one row a layer, without it one for every token so far: "
        "the sum of all steps is a line the one way, a square the other.",
        "The milliseconds are those of a whole forward pass. A step with the cache still reads all weights, so it has a "
        "floor; without it a step also does the work of all tokens before. Both scatter when the machine is busy.",
        "Nothing in a cache is deleted. To rewind is to lower one number. A fork copies the rows there are into a second "
        "cache, which goes its own way: choose another next token for it.",
        "Keys are kept as RoPE has turned them by their position. A cache of halves (float16) takes half the memory; what "
        "it rounds away is shown beside the rows, and as the difference that it makes to the logits.",
    ),
    files=(
        "milestones/m4/kv_store.metal", "milestones/m4/decode_attention.metal", "milestones/m2/attention.metal",
        "milestones/m4/cache.py", "milestones/m7/loop.py",
    ),
    sources=(
        "Inference Engineering (Kiely), §2.4, p. 61, and §5.3, p. 136",
        "ds4: ds4_kvstore.c, metal/dsv4_kv.metal",
        "Ainslie et al. 2023 (GQA)",
    ),
    endpoints={
        "step": Endpoint(_FIELDS, step),
        "rewind": Endpoint(_FIELDS | {"to": Whole(1, LIMIT)}, rewind),
        "fork": Endpoint(_FIELDS, fork),
        "cell": Endpoint(_FIELDS | {"layer": Whole(0, 10_000), "token": Whole(0, LIMIT)}, cell),
    },
    model="naive",
    examples=EXAMPLES,
    recording=recording,
    recorded="Steps along the likeliest continuation of the examples are recorded, and from each a few of the second "
    "likeliest: with their milliseconds, every fork and rewind, and every cell. Nothing of this is computed in the page.",
)  # fmt: skip
