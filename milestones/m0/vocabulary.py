"""A byte-level BPE vocabulary: tokens as bytes, merges as pairs of ids, special tokens. Where it is read from: GGUF metadata
(here), tokenizer.json (tokenizer_json.py), tiktoken's rank files (tiktoken_file.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from milestones.errors import UserError
from milestones.m0.packed import Index, Packed, Strings, joined
from milestones.m0.pretokenize import KINDS

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
    """`tokens[id]` is a token's bytes (none for an id nobody uses); `merges` (n, 2) holds pairs of ids, lowest rank first."""

    tokens: Sequence[bytes]
    merges: np.ndarray
    special: Mapping[str, int] = field(default_factory=dict)  # text → id, found in a text before any merge
    written: frozenset[int] = frozenset()  # those of them that are text like any other when they are generated
    pre_tokenizer: str = "gpt-2"
    eos: int | None = None
    bos: int | None = None
    add_bos: bool = False
    ends: frozenset[int] = frozenset()  # ids after which a text is over
    whole_first: bool = False  # a piece that is a token as a whole is taken as it is, before any merge
    normal_form: str | None = None  # "NFC": the text is brought to that Unicode form first, so not all bytes come back
    merge_ranks: np.ndarray | None = None  # (n), where they are not 0, 1, 2, …

    @property
    def ranks(self) -> np.ndarray:
        """The rank of each merge, uint32 (n)."""
        return np.arange(len(self.merges), dtype=np.uint32) if self.merge_ranks is None else self.merge_ranks

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Vocabulary:
        """From a GGUF file's metadata. Raises UserError naming what is missing, damaged or of a kind that is not supported."""
        kind = _need(metadata, "tokenizer.ggml.model", str)
        if kind != "gpt2":
            raise UserError(f"the model's tokenizer is of kind {kind!r}; only byte-level BPE ('gpt2') is supported")
        pre = metadata.get("tokenizer.ggml.pre", "default")
        check_pre_tokenizer(pre)
        texts = _need(metadata, "tokenizer.ggml.tokens", list, str)
        types = [1] * len(texts)
        if metadata.get("tokenizer.ggml.token_type"):
            types = _need(metadata, "tokenizer.ggml.token_type", list, int)
        if len(types) != len(texts):
            raise UserError(f"the model's tokenizer has {len(texts)} tokens but {len(types)} token types: the file is damaged")
        written = {i for i, t in enumerate(types) if t in (_CONTROL, _USER_DEFINED)}
        special = {texts[i]: i for i in sorted(written, reverse=True) if texts[i]}
        ordinary = frozenset(i for i in written if types[i] == _USER_DEFINED)
        eos, bos = (_id(metadata, f"tokenizer.ggml.{name}_token_id", len(texts)) for name in ("eos", "bos"))
        add_bos = metadata.get("tokenizer.ggml.add_bos_token", False)
        if not isinstance(add_bos, bool):
            raise UserError(f"tokenizer.ggml.add_bos_token is {add_bos!r}: neither true nor false")
        return cls(
            tokens=as_bytes(texts, written),
            merges=as_merges(_need(metadata, "tokenizer.ggml.merges", list, str), texts),
            special=special,
            written=ordinary,
            pre_tokenizer=pre,
            eos=eos,
            bos=bos,
            add_bos=add_bos,
            ends=end_tokens(special, [] if eos is None else [eos]),
            whole_first=pre == "llama-bpe",
        )


def check_pre_tokenizer(pre: Any) -> None:
    """Raises UserError unless `pre` names a pre-tokenizer that is known here."""
    if pre not in KINDS:
        raise UserError(f"the model's pre-tokenizer {pre!r} is not supported; these are: {', '.join(KINDS)}")


def end_tokens(special: Mapping[str, int], eos: Iterable[int]) -> frozenset[int]:
    """Ids after which a text is over: those that the model names, and the usual special tokens of that meaning."""
    return frozenset({special[text] for text in _ENDS if text in special} | set(eos))


def as_bytes(texts: Sequence[str], written: Collection[int]) -> Packed:
    """The bytes of tokens written in GPT-2's alphabet, or as they are where their index is in `written`."""
    packed = Strings.of(texts).packed
    plain = np.zeros(len(packed), bool)
    plain[list(written)] = True
    data, plain = packed.data.astype(np.uint16), np.repeat(plain, packed.lengths)  # from here on: of each byte
    behind = np.append(data[1:], np.uint16(0))
    first = (data & 0xC0) != 0x80  # of its character
    code = np.where(data < 0x80, data, (data & 0x1F) << 6 | behind & 0x3F)
    code[data >= 0xE0] = 0  # a character of three bytes or more is in no alphabet, no more than the first control character
    letters = _letters()
    foreign = np.where(plain, (data == 0xED) & (behind >= 0xA0), first & (letters[code] < 0))  # ED A0: half of a surrogate pair
    if foreign.any():
        index = int(np.searchsorted(packed.offsets, np.argmax(foreign), "right")) - 1
        raise UserError(f"token {index} of the model's tokenizer is not written in GPT-2's alphabet: {texts[index]!r}")
    kept = plain | first
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[packed.offsets]
    return Packed(np.where(plain, data, letters[code])[kept].astype(np.uint8), offsets)


@cache
def _letters() -> np.ndarray:
    """The byte of each code point below 2,048 of GPT-2's alphabet, -1 of others (2048) int16."""
    known, found = alphabet(), np.full(1 << 11, -1, np.int16)
    found[[ord(letter) for letter in known]] = list(known.values())
    return found


def as_merges(lines: Sequence[Any], texts: Sequence[str]) -> np.ndarray:
    """Pairs of ids (n, 2) of merges written "left right" or (left, right). UserError for one that is not made of tokens."""
    left, right = _halves(lines)
    known = Index(Strings.of(texts).packed)
    of_left, of_right = left.hashes(), right.hashes()
    ids = [known.find(left, of_left), known.find(right, of_right)]
    wrong = (ids[0] < 0) | (ids[1] < 0) | (known.find(left.before(right), joined(of_left, left.lengths, of_right)) < 0)
    if wrong.any() or len(left) < len(lines):  # the one behind the last pair is none
        rank = int(np.argmax(np.append(wrong, True)))
        raise UserError(f"merge {rank} of the model's tokenizer is not made of its tokens: {lines[rank]!r}")
    return np.stack(ids, axis=1).astype(np.uint32)


def _halves(lines: Sequence[Any]) -> tuple[Packed, Packed]:
    """The left and the right strings of merges, up to the first that is no pair."""
    if isinstance(lines, Strings):
        data, offsets = lines.packed.data, lines.packed.offsets
        spaces = np.flatnonzero(data == ord(" "))
        held = np.searchsorted(spaces, offsets)
        none = np.diff(held) != 1  # one space a line
        whole = int(np.argmax(np.append(none, True)))
        at, end = spaces[held[0] : held[0] + whole], offsets[: whole + 1]
        return Packed.cut(data, end[:-1], at), Packed.cut(data, at + 1, end[1:])
    pairs: list[tuple[str, str]] = []
    for line in lines:
        pair = tuple(line.split(" ") if isinstance(line, str) else line if isinstance(line, (list, tuple)) else ())
        if len(pair) != 2 or not all(isinstance(half, str) for half in pair):
            break
        pairs.append(pair)
    left, right = zip(*pairs, strict=True) if pairs else ((), ())
    return Strings.of(left).packed, Strings.of(right).packed


def _need(metadata: Mapping[str, Any], key: str, kind: type, of: type = object) -> Any:
    """The value of a key that must be there, of that kind, and not empty; a list's elements of one kind too."""
    value = metadata.get(key)
    if isinstance(value, Strings) and kind is list and of is str and value:
        return value
    if not isinstance(value, kind) or not value:
        raise UserError(f"the model file has no tokenizer: the key {key} is missing or of the wrong kind")
    if isinstance(value, list) and not all(issubclass(element, of) for element in set(map(type, value))):
        raise UserError(f"the model file has no tokenizer: the key {key} is a list of the wrong kind")
    return value


def _id(metadata: Mapping[str, Any], key: str, count: int) -> int | None:
    value = metadata.get(key)
    if value is not None and not (type(value) is int and 0 <= value < count):
        raise UserError(f"{key} is {value!r}: not the id of one of the {count} tokens")
    return value
