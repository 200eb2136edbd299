"""A byte-level BPE vocabulary: tokens as bytes, merges as pairs of ids, special tokens, read from a GGUF file's metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from milestones.errors import UserError

PRE_TOKENIZERS = ("smollm", "gpt-2", "default")
_CONTROL, _USER_DEFINED = 3, 4  # GGUF's token types that are written out, not merged
_ENDS = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>")


def alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes: character → byte. Printable bytes stand for themselves, the rest for 256 and up.

    >>> alphabet()["a"], alphabet()["Ġ"]  # Ġ is how a vocabulary file writes a space
    (97, 32)
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


@dataclass(frozen=True)
class Vocabulary:
    """`tokens[id]` is a token's bytes; `merges` (n, 2) holds pairs of ids, lowest rank first."""

    tokens: Sequence[bytes]
    merges: np.ndarray
    special: Mapping[str, int] = field(default_factory=dict)  # text → id
    pre_tokenizer: str = "gpt-2"
    eos: int | None = None
    bos: int | None = None
    add_bos: bool = False
    ends: frozenset[int] = frozenset()  # ids after which a text is over

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Vocabulary:
        """From a GGUF file's metadata. Raises UserError naming what is missing, damaged or of a kind that is not supported."""
        kind = _need(metadata, "tokenizer.ggml.model", str)
        if kind != "gpt2":
            raise UserError(f"the model's tokenizer is of kind {kind!r}; only byte-level BPE ('gpt2') is supported")
        pre = metadata.get("tokenizer.ggml.pre", "default")
        if pre not in PRE_TOKENIZERS:
            raise UserError(f"the model's pre-tokenizer {pre!r} is not supported; these are: {', '.join(PRE_TOKENIZERS)}")
        texts = _need(metadata, "tokenizer.ggml.tokens", list)
        types = metadata.get("tokenizer.ggml.token_type") or [1] * len(texts)
        if len(types) != len(texts):
            raise UserError(f"the model's tokenizer has {len(texts)} tokens but {len(types)} token types: the file is damaged")
        written = {i for i, t in enumerate(types) if t in (_CONTROL, _USER_DEFINED)}
        letters = alphabet()
        tokens = [t.encode() if i in written else _as_bytes(t, i, letters) for i, t in enumerate(texts)]
        special = {texts[i]: i for i in sorted(written, reverse=True) if texts[i]}
        ids = {text: i for i, text in reversed(list(enumerate(texts)))}
        eos, bos = (_id(metadata, f"tokenizer.ggml.{name}_token_id", len(texts)) for name in ("eos", "bos"))
        ends = {special[text] for text in _ENDS if text in special} | ({eos} if eos is not None else set())
        return cls(
            tokens=tokens,
            merges=_merges(_need(metadata, "tokenizer.ggml.merges", list), ids),
            special=special,
            pre_tokenizer=pre,
            eos=eos,
            bos=bos,
            add_bos=bool(metadata.get("tokenizer.ggml.add_bos_token", False)),
            ends=frozenset(ends),
        )


def _need(metadata: Mapping[str, Any], key: str, kind: type) -> Any:
    value = metadata.get(key)
    if not isinstance(value, kind) or not value:
        raise UserError(f"the model file has no tokenizer: the key {key} is missing or of the wrong kind")
    return value


def _as_bytes(text: Any, index: int, letters: Mapping[str, int]) -> bytes:
    try:
        return bytes([letters[c] for c in text])
    except (KeyError, TypeError):
        raise UserError(f"token {index} of the model's tokenizer is not written in GPT-2's alphabet: {text!r}") from None


def _id(metadata: Mapping[str, Any], key: str, count: int) -> int | None:
    value = metadata.get(key)
    if value is not None and not (isinstance(value, int) and 0 <= value < count):
        raise UserError(f"{key} is {value!r}: not the id of one of the {count} tokens")
    return value


def _merges(lines: Sequence[Any], ids: Mapping[str, int]) -> np.ndarray:
    """Pairs of ids. A merge whose halves or whole are no tokens cannot be carried out: the file is damaged."""
    pairs = np.empty((len(lines), 2), np.uint32)
    for rank, line in enumerate(lines):
        left, _, right = line.partition(" ") if isinstance(line, str) else ("", "", "")
        try:
            pairs[rank] = ids[left], ids[right]
            ids[left + right]
        except KeyError:
            raise UserError(f"merge {rank} of the model's tokenizer is not made of its tokens: {line!r}") from None
    return pairs
