"""The quantization diagram: a block of the model's own weights in each type, and what a type does to the next token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from milestones.diagrams.device import Device
from milestones.diagrams.fields import Field, OneOf, Text, Whole
from milestones.diagrams.registry import Diagram, Endpoint
from milestones.errors import UserError
from milestones.m0.diagram.tokenizer import shown
from milestones.m2.model import Forward, Model
from milestones.m5.diagram.requantized import HEADS, Requantized, tensor_name
from milestones.m5.perplexity import compare, log_softmax
from milestones.m5.quantize import BLOCK, BYTES, Quantize
from milestones.m5.weights import Weights

if TYPE_CHECKING:
    from milestones.diagrams.recorder import Recorder

MOST = 1_000  # bytes of a prompt
LONGEST = 48  # tokens of one
TOP = 5  # tokens that are listed
TYPES = ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
MIDDLE = {"Q4_0": 8, "Q5_0": 16}  # the code that means 0
SCOPES = {"tensor": "this tensor alone", "blocks": "all matrices of all blocks", "all": "those and the embedding"}


def codes(kind: str, block: bytes) -> tuple[float, float | None, list[int]]:
    """A block's scale, its minimum where it has one, and its 32 codes.

    >>> scale, minimum, found = codes("Q4_0", bytes([0x00, 0x38, 137, 128, *[136] * 14]))
    >>> scale, minimum, found[:3], found[16:18]
    (0.5, None, [9, 0, 8], [8, 8])
    """
    raw = np.frombuffer(block, np.uint8)
    has_minimum = kind.endswith("_1")
    halves = raw[: 4 if has_minimum else 2].view(np.float16)
    rest = raw[halves.nbytes :]
    if kind == "Q8_0":
        found = rest.view(np.int8).astype(int)
    else:
        nibbles = rest[-16:].astype(int)
        found = np.concatenate([nibbles & 15, nibbles >> 4])
        if kind.startswith("Q5"):
            found += np.unpackbits(rest[:4], bitorder="little").astype(int) << 4
    return float(halves[0]), float(halves[1]) if has_minimum else None, found.tolist()


def model(device: Device) -> dict[str, Any]:
    """What there is to choose: each tensor's rows, blocks a row, and type in each layer."""
    file, config = device.file, device.file.config()
    parts = {}
    for part in (*HEADS, *MATRICES):
        infos = [file.tensors.get(tensor_name(part, layer)) for layer in range(1 if part in HEADS else config.blocks)]
        if infos[0] is not None and infos[0].shape[-1] % BLOCK == 0:
            rows, columns = infos[0].shape
            parts[part] = {"rows": rows, "blocks": columns // BLOCK, "kinds": [info.type for info in infos if info]}
    if not parts:
        raise UserError(f"no row of this model's matrices is whole blocks of {BLOCK} weights: there is nothing to quantize")
    return {"layers": config.blocks, "tied": config.tied, "parts": parts, "types": list(TYPES)}


def block(device: Device, part: str, layer: int, row: int, block: int) -> dict[str, Any]:
    """32 weights as the file has them, and what each type makes of them."""
    weights, name, kind, values = _row(device, part, layer, row)
    if block >= len(values) // BLOCK:
        raise UserError(f"block {block:,} is not there: a row has the blocks 0 to {len(values) // BLOCK - 1:,}")
    here = slice(block * BLOCK, block * BLOCK + BLOCK)
    formats = [_half(values, here)]
    floats, quantize = device.gpu.tensor(values[None]), Quantize(device.gpu)
    for made in TYPES:
        raw = quantize(floats, made)
        back = weights.dequantized(raw, made, floats.shape)
        device.gpu.sync()
        scale, minimum, found = codes(made, raw.numpy()[block * BYTES[made] : (block + 1) * BYTES[made]].tobytes())
        told = _errors(values, back.numpy()[0], here)
        bits = BYTES[made] * 8 / BLOCK
        formats.append(told | {"type": made, "bits": bits, "scale": scale, "minimum": minimum, "codes": found} | _grid(made))
    return {
        "name": name,
        "kind": kind,
        "token": shown(device.tokenizer.token_bytes(row)) if part in HEADS else None,
        "values": values[here],
        "size": _rms(values[here]),
        "formats": formats,
    }


def outlier(device: Device, part: str, layer: int) -> dict[str, Any]:
    """Where in a tensor a single weight is largest beside the others of its block."""
    weights = _weights(device)
    info, raw = _info(device, part, layer), np.frombuffer(device.file.raw(tensor_name(part, layer)), np.uint8)
    rows, columns = info.shape
    found, step = (0.0, 0, 0), max(1, (1 << 22) // columns)
    for first in range(0, rows, step):
        count = min(step, rows - first)
        part_of = device.gpu.tensor(raw.reshape(rows, -1)[first : first + count].reshape(-1))
        floats = weights.dequantized(part_of, info.type, (count, columns))
        device.gpu.sync()
        blocks = floats.numpy().reshape(-1, BLOCK)
        sizes = np.sqrt(np.einsum("ij,ij->i", blocks, blocks) / BLOCK)
        ratios = np.divide(np.abs(blocks).max(axis=1), sizes, out=np.zeros_like(sizes), where=sizes > 0)
        at = int(ratios.argmax())
        if ratios[at] > found[0]:
            found = float(ratios[at]), first + at // (columns // BLOCK), at % (columns // BLOCK)
    return {"ratio": found[0], "row": found[1], "block": found[2]}


def effect(device: Device, text: str, scope: str, part: str, layer: int) -> Iterator[dict[str, Any]]:
    """The distribution after a prompt: with the file's weights, then with the chosen ones in each type."""
    ids = device.encode(text)
    if len(ids) > LONGEST:
        raise UserError(f"the prompt is {len(ids):,} tokens, this picture takes {LONGEST}: shorten it")
    config = device.file.config()
    _info(device, part, layer)
    names = {tensor_name(part, layer)}
    if scope != "tensor":
        names = {tensor_name(one, n) for one in MATRICES for n in range(config.blocks)}
    if scope == "all":
        names |= {tensor_name(one, 0) for one in HEADS}
    names = {name for name in names if name in device.file.tensors and device.file.tensors[name].shape[-1] % BLOCK == 0}
    base, weights = cast(Model, device.naive.model), _weights(device)
    own = _predicted(device, base, ids)
    yield {"type": "file", "tensors": len(names), "kl": 0.0, "same": True, "top": _top(device, own, own)}
    for kind in TYPES:
        made = _predicted(device, Requantized(device.gpu, base, weights, kind, names), ids)
        _, _, kl, same = compare(made, own.argmax(axis=1), own)[:, 0]
        yield {
            "type": kind,
            "tensors": len(names),
            "kl": max(0.0, float(kl)),
            "same": bool(same),
            "top": _top(device, made, own),
        }


def _predicted(device: Device, running: Forward, ids: list[int]) -> np.ndarray:
    logits = running.forward(ids)
    device.gpu.sync()
    return log_softmax(logits.numpy())


def _top(device: Device, found: np.ndarray, own: np.ndarray) -> list[dict[str, Any]]:
    likeliest = np.argsort(-found[0], kind="stable")[:TOP].tolist()
    p, before = np.exp(found[0]), np.exp(own[0])
    return [
        {"id": token, "text": shown(device.tokenizer.token_bytes(token)), "p": float(p[token]), "own": float(before[token])}
        for token in likeliest
    ]


def _weights(device: Device) -> Weights:
    return device.kept("weights", lambda: Weights(device.gpu, device.file))


def _info(device: Device, part: str, layer: int) -> Any:
    """What is known of the tensor. Raises UserError if there is none, or none that has blocks."""
    info = device.file.tensors.get(tensor_name(part, layer))
    if info is None or info.shape[-1] % BLOCK:
        raise UserError(f"this model has no {tensor_name(part, layer)} with rows of whole blocks: choose another tensor")
    return info


def _row(device: Device, part: str, layer: int, row: int) -> tuple[Weights, str, str, np.ndarray]:
    weights, info, name = _weights(device), _info(device, part, layer), tensor_name(part, layer)
    rows, columns = info.shape
    if row >= rows:
        raise UserError(f"row {row:,} is not there: {name} has the rows 0 to {rows - 1:,}")
    size = info.nbytes // rows
    raw = np.frombuffer(device.file.raw(name)[row * size : (row + 1) * size], np.uint8)
    floats = weights.dequantized(device.gpu.tensor(raw), info.type, (1, columns))
    device.gpu.sync()
    return weights, name, info.type, floats.numpy()[0].copy()


def _half(values: np.ndarray, here: slice) -> dict[str, Any]:
    halves = values.astype(np.float16)
    patterns = [f"0x{bits:04X}" for bits in halves[here].view(np.uint16).tolist()]
    told = _errors(values, halves.astype(np.float32), here)
    return told | {"type": "F16", "bits": 16, "scale": None, "minimum": None, "codes": patterns, "least": None, "most": None}


def _grid(kind: str) -> dict[str, Any]:
    """The least and the largest code, and the one that means 0 (or the minimum)."""
    if kind == "Q8_0":
        return {"least": -127, "most": 127, "middle": 0}
    return {"least": 0, "most": 31 if kind.startswith("Q5") else 15, "middle": MIDDLE.get(kind, 0)}


def _errors(values: np.ndarray, back: np.ndarray, here: slice) -> dict[str, Any]:
    """What is lost in the block, weight by weight, and in the whole row, as a part of its size."""
    errors = back.astype(np.float64) - values
    whole = _rms(values)
    return {
        "values": back[here],
        "errors": errors[here],
        "rms": _rms(errors[here]),
        "largest": float(np.abs(errors[here]).max()),
        "row": _rms(errors) / whole if whole else 0.0,
    }


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


EXAMPLES = (("A capital", "The capital of France is"), ("A rhyme", "Roses are red, violets are"))
FIRST = 7042  # the row that the page begins with, in a tensor that has so many


def recording(recorder: Recorder) -> None:
    """In every layer the first block of a matrix's last row, and the largest outlier; of the embedding and the first layer
    the whole row; what becomes of the examples' next tokens.
    """
    known = recorder.ask("model")
    for part, told in known["parts"].items():
        for layer in range(1 if part in HEADS else known["layers"]):
            row = min(FIRST, told["rows"] - 1)
            for block in range(1 if layer else told["blocks"]):
                recorder.ask("block", part=part, layer=layer, row=row, block=block)
            found = recorder.ask("outlier", part=part, layer=layer)
            recorder.ask("block", part=part, layer=layer, row=found["row"], block=found["block"])
    part = next(iter(known["parts"]))
    for number, (_, text) in enumerate(EXAMPLES):
        with recorder.example(text):
            for scope in ("blocks",) if number else SCOPES:
                recorder.ask("effect", text=text, scope=scope, part=part, layer=0)


_PART: dict[str, Field] = {"part": OneOf((*HEADS, *MATRICES)), "layer": Whole(0, 10_000)}

DIAGRAM = Diagram(
    name="quantization",
    milestone="m5",
    title="Quantization: fewer bits a weight",
    lead="To write one token a model reads all its weights, so small ones are fast ones. Here is a block of 32 weights of the "
    "model that runs these pages, in 16, 8, 5 and 4 bits, and what your prompt’s next token becomes of it.",
    notes=(
        "32 neighbours of a row share one scale d. A weight becomes a whole number, its code, that means d · code; in Q4_0 and "
        "Q5_0 the code 8 or 16 means 0; in Q4_1 and Q5_1 the block’s minimum m is added. Ticks are all numbers that "
        "the codes can mean, dots are the weights.",
        "The bars are errors: what a weight comes back as, less what it was. They share one scale, so they can be compared. "
        "One large weight makes d large for all 32: look at the largest outlier.",
        "This model’s file has no floats: its matrices are Q4_1 already, the embedding is Q8_0. Those are taken for "
        "what is true here. So the 16-bit column is the file’s values, rounded to halves; a matrix put into Q4_1 again loses "
        "almost nothing, and Q5_1, whose 31 steps do not fall on 15, loses more than it would of floats. The README of m5 "
        "has the loss of a model whose weights were moved off the grid first.",
        "The next token is computed on floats: the chosen weights go through a type and back, block by block as the prompt "
        "comes to them; all other weights stay as they are. KL divergence is how far the distribution is from the file’s, in "
        "nats: 0 where they agree. It is one prompt’s: over a whole text, firstlight perplexity says more.",
    ),
    files=(
        "milestones/m5/quantize.metal", "milestones/m5/dequantize_k.metal", "milestones/m1/dequantize.metal",
        "milestones/m5/diagram/requantized.py", "milestones/m5/README.md",
    ),
    sources=(
        "Inference Engineering (Kiely), §5.1, p. 120, formats p. 121, quality p. 128",
        "ds4: gguf-tools/", "Dettmers et al. 2022 (LLM.int8(): outliers, and why blocks)",
    ),
    endpoints={
        "model": Endpoint({}, model),
        "block": Endpoint({**_PART, "row": Whole(0, 10**8), "block": Whole(0, 10**6)}, block),
        "outlier": Endpoint(_PART, outlier),
        "effect": Endpoint({**_PART, "text": Text(MOST), "scope": OneOf(tuple(SCOPES))}, effect, streams=True),
    },
    examples=EXAMPLES,
    recording=recording,
    recorded="Recorded are, of each tensor and layer, the first block of one row and the largest outlier; all blocks of that "
    "row in the embedding and in layer 0; and what becomes of the examples’ next tokens.",
)  # fmt: skip
