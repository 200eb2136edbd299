"""A model on disk → a GGUF file with packed weights: what `firstlight quantize` does.

Which tensor becomes what follows llama.cpp's `llama-quantize`, as far as its types are made here:

- vectors (the norms) keep their floats;
- the output head, and the embedding where it serves as the head, become Q8_0 (llama.cpp: Q6_K; Q8_0 if rows are no
  multiples of 256);
- matrices whose rows are not multiples of 32 become F16;
- all others become the type that was asked for;
- `own` says otherwise, by patterns of names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m1.architectures import ARCHITECTURES
from milestones.m1.config import ROPE_FACTORS, LlamaConfig
from milestones.m1.gguf_model import GgufModel
from milestones.m1.gguf_values import quoted
from milestones.m1.model_file import ModelFile, TensorInfo, open_model
from milestones.m5.gguf_writer import encoded, header, nbytes, stored_keys, whole_file
from milestones.m5.hf_keys import keys_of
from milestones.m5.perplexity import bits_a_weight
from milestones.m5.quantize import BLOCK, BYTES, Quantize
from milestones.m5.weights import Weights

FILE_TYPES = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9}  # llama.cpp's numbers for files that are mostly of a type
FLOATS = ("F32", "F16", "BF16")
LARGEST_HALF = 65504.0
CHUNK = 1 << 23  # values that are on the device at once, or one row

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Summary:
    """What was done."""

    tensors: dict[str, int]  # type → how many
    nbytes: int  # of the file
    bits: float  # of the tensors, per weight
    before: int  # of the tensors read
    twice: int  # tensors that were packed before, and have been packed anew


def quantize_file(
    source: Path,
    target: Path,
    kind: str,
    *,
    own: Sequence[tuple[str, str]] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Write the model in `source` (a GGUF file or a Hugging Face folder) to `target`, quantized to `kind`, one of FILE_TYPES.

    `own` are pairs of a pattern of tensors' names ("blk.*.ffn_*", as file names are matched) and a type for those matrices.

    Raises UserError for a model that the engine would not run, and for a target that is there already (unless `force`) or
    cannot be written; then, and after Ctrl-C, nothing is left behind.
    """
    progress = progress or (lambda what, done, total: None)
    file = open_model(source)
    weights = Weights(Gpu(compiling=lambda done: progress("preparing kernels", done, 0)), file)
    weights.check()
    keys = stored_keys(file.path) if isinstance(file, GgufModel) else {k: encoded(v) for k, v in keys_of(file).items()}
    keys |= {"general.file_type": encoded(FILE_TYPES[kind]), "general.quantization_version": encoded(2)}
    tensors = {**_factors(weights.config), **file.tensors}
    order = list(tensors)
    unmatched = next((pattern for pattern, _ in own if not any(fnmatchcase(name, pattern) for name in order)), None)
    if unmatched is not None:
        raise UserError(f"no tensor of {quoted(file.path)} has a name like {quoted(unmatched)}: see firstlight inspect")
    made = [_chosen(name, tensors[name], kind, own, weights.config.tied) for name in order]
    head, offsets = header(keys, made)
    total, done = sum(math.prod(t.shape) for t in made), 0
    pack = Packer(weights)
    with whole_file(target, force=force) as out:
        out.write(head)
        for name, info, offset in zip(order, made, offsets, strict=True):
            out.write(bytes(len(head) + offset - out.tell()))
            for values, part in pack.parts(name, info):
                out.write(part)
                done += values
                progress("quantizing", done, total)
        out.write(bytes(-out.tell() % 32))
        size = out.tell()
    return _summary(file, tensors, made, size)


def pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """("blk.*.ffn_*=q8_0", …) as `own` takes it. Raises UserError for what is no such word, or a type that is not made."""
    found = []
    for word in words:
        pattern, _, kind = word.rpartition("=")
        if not pattern or kind.upper() not in FILE_TYPES:
            raise UserError(f"{quoted(word)} is not NAME=TYPE with a type of {', '.join(FILE_TYPES).lower()}")
        found.append((pattern, kind.upper()))
    return found


def _factors(c: LlamaConfig) -> dict[str, TensorInfo]:
    """The tensor with which a GGUF file says that RoPE is scaled."""
    shape, there = (len(c.rope_factors),), c.rope_factors and c.stretched is None  # else keys say it
    return {ROPE_FACTORS: TensorInfo(ROPE_FACTORS, shape, "F32", nbytes("F32", shape))} if there else {}


def _chosen(name: str, info: TensorInfo, kind: str, own: Sequence[tuple[str, str]], tied: bool) -> TensorInfo:
    """The tensor as it will stand in the file."""
    is_head = name == "output.weight" or (tied and name == "token_embd.weight")
    if len(info.shape) < 2 or name.endswith("_norm.weight"):
        target = "F32" if info.type in FLOATS else info.type
    elif info.shape[-1] % BLOCK:
        target = "F16"
    else:
        asked = [special for pattern, special in own if fnmatchcase(name, pattern)]
        target = asked[-1] if asked else "Q8_0" if is_head else kind
    return TensorInfo(name, info.shape, target, nbytes(target, info.shape))


class Packer:
    """Tensors of a model as bytes of other types, some rows at a time."""

    def __init__(self, weights: Weights, chunk: int = CHUNK):
        self._weights, self._chunk = weights, chunk
        self._gpu = weights.gpu
        self._quantize = Quantize(self._gpu)

    def parts(self, name: str, target: TensorInfo) -> Iterator[tuple[int, bytes | memoryview]]:
        """(how many values, their bytes), which joined are the tensor."""
        file = self._weights.file
        if name not in file.tensors:  # a folder says it in its settings
            factors = np.asarray(self._weights.config.rope_factors, np.float32)
            yield factors.size, factors.data.cast("B")
            return
        info = file.tensors[name]
        row = 1 if name.endswith(".bias") else info.shape[-1]
        rows = self._in_gguf_order(name, np.frombuffer(file.raw(name), np.uint8).reshape(math.prod(info.shape) // row, -1))
        step = max(1, self._chunk // row)
        for first in range(0, len(rows), step):
            raw = np.ascontiguousarray(rows[first : first + step])
            yield len(raw) * row, raw.data if info.type == target.type else self._packed(name, raw, row, target.type)

    def _packed(self, name: str, raw: np.ndarray, row: int, target: str) -> bytes | memoryview:
        file = self._weights.file
        floats = self._weights.dequantized(self._gpu.tensor(raw.reshape(-1)), file.tensors[name].type, (len(raw), row))
        self._gpu.sync()
        values = floats.numpy()
        if not np.abs(values).max() <= LARGEST_HALF:  # NaN is not, either
            problem = f"has a weight that is no number or above {LARGEST_HALF:,.0f}, which {target} cannot hold"
            raise UserError(f"{quoted(file.path)}: tensor {quoted(file.own_name(name))} {problem}: give another model")
        if target in BYTES:
            made = self._quantize(floats, target)
            self._gpu.sync()
            return made.numpy().data
        return values.astype(np.float16 if target == "F16" else np.float32).data.cast("B")

    def _in_gguf_order(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Rows of Q and K as GGUF's rotation wants them: those half a head apart in a folder stand side by side."""
        c = self._weights.config
        same = c.rope_halves == ARCHITECTURES[c.architecture].halves
        if same or not name.endswith(("attn_q.weight", "attn_k.weight", "attn_q.bias", "attn_k.bias")):
            return rows
        return rows.reshape(-1, 2, c.head_dim // 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _summary(file: ModelFile, tensors: dict[str, TensorInfo], made: list[TensorInfo], size: int) -> Summary:
    kinds = [t.type for t in made]
    twice = sum(info.type not in (*FLOATS, t.type) for info, t in zip(tensors.values(), made, strict=True))
    before = sum(info.nbytes for info in file.tensors.values())
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    return Summary(counts, size, bits_a_weight(made), before, twice)
