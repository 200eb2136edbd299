"""A Hugging Face folder's files: JSON read with care, tensors by the official `safetensors` package, in one file or several."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from safetensors import SafetensorError, safe_open

from milestones.errors import UserError
from milestones.m1.gguf_values import quoted
from milestones.m1.model_file import TensorInfo

LARGEST_JSON = 1 << 28  # bytes; a tokenizer.json of 150,000 tokens is a twentieth of that
# bytes of a value of each type that has whole bytes
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_IN_BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OURS_IN_BLOCK = {ours: theirs for theirs, ours in _IN_BLOCK.items()}


class HfFolder:
    """A folder's settings and tensors. Opening it reads the names and shapes of the tensors, not their bytes.

    The tensors go by GGUF's names. Raises UserError, one line, for a folder that is no model's, or for a file in it that is
    missing or damaged.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        if not self._is_file("config.json"):
            self.refuse("is a folder without config.json: give a .gguf file or a Hugging Face model's folder")
        self.settings = self.read_json("config.json") or {}
        self._stored: dict[str, tuple[Any, TensorInfo]] = {}  # by GGUF's name: the open shard, what it says
        shards = self._shards()
        for shard in shards:
            self._read_shard(shard)
        self._drop_tied_head()
        files = "1 file" if len(shards) == 1 else f"{len(shards)} files"
        self.format = f"Hugging Face folder, safetensors in {files}"

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        return {name: info for name, (_, info) in self._stored.items()}

    def own_name(self, name: str) -> str:
        block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
        if block and block[2] in _OURS_IN_BLOCK:
            return f"model.layers.{block[1]}.{_OURS_IN_BLOCK[block[2]]}.{block[3]}"
        return next((theirs for theirs, ours in _NAMES.items() if ours == name), name)

    def raw(self, name: str) -> memoryview:
        """A tensor's bytes, read from its shard. Raises UserError if there is none of that name or it cannot be read."""
        if name not in self._stored:
            self.refuse(f"there is no tensor {quoted(self.own_name(name))}")
        shard, info = self._stored[name]
        if info.type == "BF16":
            import ml_dtypes  # noqa: F401 - gives NumPy the type that safetensors asks it for
        try:
            values: Any = np.ascontiguousarray(shard.get_tensor(info.name)).reshape(-1)
            return memoryview(values.view(np.uint8))
        except (SafetensorError, OSError, TypeError, AttributeError) as problem:
            self.refuse(f"tensor {quoted(info.name)} cannot be read ({_line(problem)}): get the folder again")

    def release(self) -> None:
        """Nothing: `raw` copies, and what it copied goes with its last user."""

    def refuse(self, problem: str) -> NoReturn:
        raise UserError(f"{quoted(self.path)}: {problem}")

    def _is_file(self, name: str) -> bool:
        try:
            return (self.path / name).is_file()
        except OSError:  # a name too long, say
            return False

    def text(self, name: str) -> str:
        """A file of the folder, which must be UTF-8."""
        path = self.path / name
        try:
            if not self._is_file(name):  # reading a pipe or a device might never end
                self.refuse(f"the file {name} is missing: get the folder again")
            if path.stat().st_size > LARGEST_JSON:
                self.refuse(f"{name} is larger than any such file: get the folder again")
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as problem:
            self.refuse(f"{name} is damaged: byte {problem.start:,} is not UTF-8: get the folder again")
        except OSError as problem:
            self.refuse(f"{name} cannot be read ({problem.strerror}): get the folder again")

    def read_json(self, name: str, *, required: bool = True) -> dict[str, Any] | None:
        """The JSON object in a file of the folder; None if it is not there and need not be."""
        if not required and not self._is_file(name):
            return None
        try:
            data = json.loads(self.text(name))
        except (ValueError, RecursionError) as problem:
            self.refuse(f"{name} is damaged ({_line(problem)}): get the folder again")
        if not isinstance(data, dict):
            self.refuse(f"{name} is damaged (it is no JSON object): get the folder again")
        return data

    def _shards(self) -> list[str]:
        """The names of the folder's safetensors files."""
        index = self.read_json("model.safetensors.index.json", required=False)
        if index is None:
            if not (self.path / "model.safetensors").exists():
                pickles = ", ".join(sorted(p.name for p in self.path.glob("*.bin"))[:3])
                found = f" ({quoted(pickles)}: PyTorch's own files are programs and are not read)" if pickles else ""
                self.refuse(f"there is no model.safetensors{found}: give a folder with one, or a .gguf file")
            return ["model.safetensors"]
        names = index.get("weight_map")
        if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
            self.refuse("model.safetensors.index.json has no weight_map: get the folder again")
        shards = sorted(set(names.values()))
        foreign = next((name for name in shards if Path(name).name != name or name in ("", ".", "..")), None)
        if foreign is not None:
            self.refuse(f"model.safetensors.index.json names {quoted(foreign)}, which is no file of the folder: get it again")
        return shards

    def _read_shard(self, shard: str) -> None:
        if not self._is_file(shard):
            self.refuse(f"the file {quoted(shard)} is missing: get the folder again")
        try:
            file = safe_open(self.path / shard, framework="np")
            for name in file.keys():  # noqa: SIM118 - it is no dictionary
                part = file.get_slice(name)
                self._add(file, name, tuple(part.get_shape()), str(part.get_dtype()))
        except (SafetensorError, OSError, ValueError) as problem:
            self.refuse(f"{quoted(shard)} is damaged or foreign ({_line(problem)}): get the folder again")

    def _add(self, file: Any, name: str, shape: tuple[int, ...], kind: str) -> None:
        if name.endswith(".rotary_emb.inv_freq"):  # follows from config.json; old versions of transformers stored it
            return
        block = re.fullmatch(r"model\.layers\.(\d+)\.([\w.]+)\.(weight|bias)", name)
        ours = _NAMES.get(name, name)
        if block and block[2] in _IN_BLOCK:
            ours = f"blk.{block[1]}.{_IN_BLOCK[block[2]]}.{block[3]}"
        if ours in self._stored:
            self.refuse(f"tensor {quoted(name)} is there twice: get the folder again")
        self._stored[ours] = file, TensorInfo(name, shape, kind, math.prod(shape) * SIZES.get(kind, 0))

    def _drop_tied_head(self) -> None:
        """Some folders store the embedding a second time, as the output head that config.json ties to it."""
        names = ("token_embd.weight", "output.weight")
        if self.settings.get("tie_word_embeddings") is True and all(name in self._stored for name in names):
            embedding, head = (self._stored[name][1] for name in names)
            same = (embedding.shape, embedding.type) == (head.shape, head.type)
            if same and self.raw(names[0]) == self.raw(names[1]):
                del self._stored[names[1]]


def _line(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
