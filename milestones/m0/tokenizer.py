"""Text to token ids and back, lossless over bytes: decode(encode(b)) == b wherever the vocabulary holds b's bytes."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m0.bpe import Bpe
from milestones.m0.detokenize import Detokenize
from milestones.m0.pretokenize import pretokenize
from milestones.m0.vocabulary import Vocabulary


class Tokenizer:
    """A vocabulary whose merge loop runs on the device."""

    def __init__(self, gpu: Gpu, vocabulary: Vocabulary):
        self.vocabulary, self._bpe = vocabulary, Bpe(gpu, vocabulary)
        self._detokenize = Detokenize(gpu, self._bpe.token_bytes, self._bpe.token_offsets)
        self.eos, self.bos, self.ends, self.size = vocabulary.eos, vocabulary.bos, vocabulary.ends, len(vocabulary.tokens)
        self.prefix = [vocabulary.bos] if vocabulary.add_bos and vocabulary.bos is not None else []
        self._special_ids = frozenset(vocabulary.special.values()) - vocabulary.written
        longest_first = sorted(vocabulary.special, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if longest_first else None
        self.lacking = bytes(sorted(set(range(256)) - self._bpe.bytes_held))

    def encode(self, text: str | bytes, *, special: bool = True, errors: str = "strict") -> list[int]:
        """Token ids of `text`; none for an empty one.

        A special token written out in the text is read as one, unless `special` is false. Bytes that are not UTF-8 are kept
        to the byte. A byte that the vocabulary lacks raises UserError naming it and its offset; with errors="drop" it is left
        out. Raises UserError for a lone surrogate, which is no character.
        """
        return self.encode_all([text], special=special, errors=errors)[0]

    def encode_all(self, texts: Iterable[str | bytes], *, special: bool = True, errors: str = "strict") -> list[list[int]]:
        """`encode` for many texts, with one dispatch for all of them."""
        segments: list[str] = []
        plans: list[list[int | None]] = []  # of each text: a special token's id, or None for the next segment's ids
        for text in texts:
            plans.append([])
            for part, marked in self._parts(text, special, errors):
                if marked:
                    plans[-1].append(self.vocabulary.special[part])
                elif part:
                    segments.append(part)
                    plans[-1].append(None)
        found = iter(self._segments(segments))
        return [
            next(found) if plan == [None] else list(chain.from_iterable(next(found) if one is None else [one] for one in plan))
            for plan in plans
        ]

    def pieces(self, text: str, *, special: bool = True) -> list[tuple[bytes, list[int]]]:
        """What `encode` works on, in order: each piece's bytes and its ids; a special token is a piece of its own.

        Bytes that the vocabulary lacks stand in their piece, but have no ids.
        """
        cut: list[tuple[bytes, int | None]] = []
        for part, marked in self._parts(text, special, "drop"):
            if marked:
                cut.append((part.encode(), self.vocabulary.special[part]))
            else:
                cut += [
                    (piece.encode("utf-8", "surrogateescape"), None)
                    for piece in pretokenize(part, self.vocabulary.pre_tokenizer)
                ]
        held = [piece.translate(None, self.lacking) if token is None else b"" for piece, token in cut]
        merged = iter(self._bpe([one for one in held if one]))
        ids = [
            ([] if token is None else [token]) if not one else next(merged).tolist()
            for one, (_, token) in zip(held, cut, strict=True)
        ]
        return [(piece, found) for (piece, _), found in zip(cut, ids, strict=True)]

    def _segments(self, segments: Sequence[str]) -> Iterable[list[int]]:
        """The ids of each segment, a text without special tokens; bytes that the vocabulary lacks are left out."""
        cut: list[list[bytes]] = []
        for segment in segments:
            pieces = (piece.encode("utf-8", "surrogateescape") for piece in pretokenize(segment, self.vocabulary.pre_tokenizer))
            cut.append([held for piece in pieces if (held := piece.translate(None, self.lacking))])
        merged = iter(self._bpe(list(chain.from_iterable(cut))))
        return [[i for _ in pieces for i in next(merged).tolist()] for pieces in cut]

    def _parts(self, text: str | bytes, special: bool, errors: str) -> Iterator[tuple[str, bool]]:
        """The text between special tokens, and those; a special token's bytes need not be in the vocabulary."""
        data = _as_bytes(text)
        decoded = data.decode("utf-8", "surrogateescape")
        if self.vocabulary.normal_form:
            decoded = unicodedata.normalize(self.vocabulary.normal_form, decoded)  # type: ignore[arg-type]
        parts = self._special.split(decoded) if special and self._special else [decoded]
        offset = 0
        for index, part in enumerate(parts):
            held = part.encode("utf-8", "surrogateescape")
            if index % 2 == 0 and errors != "drop" and len(held.translate(None, self.lacking)) < len(held):
                at = next(i for i, byte in enumerate(held) if byte in self.lacking)
                raise UserError(f"the tokenizer has no token for byte 0x{held[at]:02X}, at offset {offset + at}: leave it out")
            offset += len(held)
            yield part, index % 2 == 1

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> bytes:
        """The bytes that `ids` stand for, by the device's tables. Raises UserError for an id outside the vocabulary."""
        for token in ids:
            self._check(token)
        return self._detokenize([i for i in ids if not (skip_special and self.is_special(i))])

    def token_bytes(self, token: int) -> bytes:
        """One token's bytes. Raises UserError for an id outside the vocabulary."""
        self._check(token)
        return self.vocabulary.tokens[token]

    def _check(self, token: int) -> None:
        if not 0 <= token < self.size:
            raise UserError(f"there is no token {token}: ids go from 0 to {self.size - 1}")

    def is_special(self, token: int) -> bool:
        """Whether a token is a mark and no text: it is not shown when it is generated."""
        return token in self._special_ids


def _as_bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("utf-8", "surrogateescape")  # how Python hands over arguments that are not UTF-8
    except UnicodeEncodeError as problem:
        raise UserError(
            f"the text holds a lone surrogate at character {problem.start}: it is no character, leave it out"
        ) from None


class StreamDecoder:
    """Bytes in, whole characters out: what is cut in the middle of a character waits for its rest.

    >>> stream = StreamDecoder()
    >>> stream.feed("é".encode()[:1]), stream.feed("é".encode()[1:] + b"!"), stream.flush()
    ('', 'é!', '')
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        """The text that is complete by now. Bytes that can be no character come as U+FFFD."""
        return self._decoder.decode(data)

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that never got its rest."""
        return self._decoder.decode(b"", final=True)
