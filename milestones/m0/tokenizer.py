"""Text to token ids and back, lossless over bytes: decode(encode(b)) == b wherever the vocabulary holds b's bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m0.bpe import Bpe
from milestones.m0.pretokenize import pretokenize
from milestones.m0.vocabulary import Vocabulary


class Tokenizer:
    """A vocabulary whose merge loop runs on the device."""

    def __init__(self, gpu: Gpu, vocabulary: Vocabulary):
        self.vocabulary, self._bpe = vocabulary, Bpe(gpu, vocabulary)
        self.eos, self.bos, self.ends, self.size = vocabulary.eos, vocabulary.bos, vocabulary.ends, len(vocabulary.tokens)
        self.prefix = [vocabulary.bos] if vocabulary.add_bos and vocabulary.bos is not None else []
        self._special_ids = frozenset(vocabulary.special.values())
        longest_first = sorted(vocabulary.special, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if longest_first else None
        held = {token[0] for token in vocabulary.tokens if len(token) == 1}
        self._lacking = bytes(sorted(set(range(256)) - held))

    def encode(self, text: str | bytes, *, special: bool = True, errors: str = "strict") -> list[int]:
        """Token ids of `text`; none for an empty one.

        A special token written out in the text is read as one, unless `special` is false. Bytes that are not UTF-8 are kept
        to the byte. A byte that the vocabulary lacks raises UserError naming it and its offset; with errors="drop" it is left
        out. Raises UserError for a lone surrogate, which is no character.
        """
        data = _as_bytes(text)
        if (missing := _first_of(data, self._lacking)) and errors != "drop":
            raise UserError(
                f"the tokenizer has no token for byte 0x{data[missing[0]]:02X}, at offset {missing[0]}: leave it out"
            )
        decoded = data.decode("utf-8", "surrogateescape")
        parts = self._special.split(decoded) if special and self._special else [decoded]
        pieces: list[bytes] = []
        ids: list[int | None] = []  # None: the next piece's ids
        for index, part in enumerate(parts):
            if index % 2:
                ids.append(self.vocabulary.special[part])
                continue
            for piece in pretokenize(part, self.vocabulary.pre_tokenizer):
                held = piece.encode("utf-8", "surrogateescape").translate(None, self._lacking)
                if held:
                    pieces.append(held)
                    ids.append(None)
        merged = iter(self._bpe(pieces))
        found: list[int] = []
        for one in ids:
            found += next(merged).tolist() if one is None else [one]
        return found

    def decode(self, ids: Iterable[int], *, skip_special: bool = False) -> bytes:
        """The bytes that `ids` stand for. Raises UserError for an id outside the vocabulary."""
        return b"".join(self.token_bytes(i) for i in ids if not (skip_special and self.is_special(i)))

    def token_bytes(self, token: int) -> bytes:
        """One token's bytes. Raises UserError for an id outside the vocabulary."""
        if not 0 <= token < self.size:
            raise UserError(f"there is no token {token}: ids go from 0 to {self.size - 1}")
        return self.vocabulary.tokens[token]

    def is_special(self, token: int) -> bool:
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


def _first_of(data: bytes, unwanted: bytes) -> list[int]:
    """[offset] of the first byte of `data` that is one of `unwanted`; empty if there is none."""
    if len(data.translate(None, unwanted)) == len(data):
        return []
    return [next(i for i, byte in enumerate(data) if byte in unwanted)]


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
