"""What detokenize gives if it is written with a known mistake. `(ids, tokens)` → the text's bytes, uint8."""

from collections.abc import Callable, Sequence

import numpy as np

from reference.detokenize import detokenize


def _bytes(parts: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(parts), np.uint8)


def _right(ids: Sequence[int], tokens: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(detokenize(ids, tokens), np.uint8)


def _from(shift: int, at: Callable[[int, Sequence[bytes]], int]) -> Callable:
    """Every token's bytes, read from another place in the table of all bytes."""

    def mistake(ids: Sequence[int], tokens: Sequence[bytes]) -> np.ndarray:
        table = b"".join(tokens)
        places = [at(i, tokens) + shift for i in ids]
        return _bytes([table[place : place + len(tokens[i])] for place, i in zip(places, ids, strict=True)])

    return mistake


def _with_holes(part: Callable[[bytes], bytes]) -> Callable:
    """Of every token only a part is written; the rest of its room keeps the poison."""

    def mistake(ids: Sequence[int], tokens: Sequence[bytes]) -> np.ndarray:
        return _bytes([part(tokens[i]).ljust(len(tokens[i]), b"\xcd") for i in ids])

    return mistake


def _place(i: int, tokens: Sequence[bytes]) -> int:
    return sum(len(t) for t in tokens[:i])


def _all_at_the_front(ids: Sequence[int], tokens: Sequence[bytes]) -> np.ndarray:
    out = np.full(sum(len(tokens[i]) for i in ids), 0xCD, np.uint8)
    for i in ids:
        out[: len(tokens[i])] = np.frombuffer(tokens[i], np.uint8)
    return out


def _numbers_for_ids(ids: Sequence[int], tokens: Sequence[bytes]) -> np.ndarray:
    """A token's number in the text for its id: where the lengths agree by chance, or the kernel does not compare them."""
    parts = [tokens[n % len(tokens)] for n in range(len(ids))]
    return _bytes([p if len(p) == len(tokens[i]) else b"\xcd" * len(tokens[i]) for p, i in zip(parts, ids, strict=True)])


RIGHT = _right
MISTAKES: dict[str, Callable] = {
    "token i of the vocabulary in place of token ids[i]": _numbers_for_ids,
    "every token's bytes read from the start of the table: is token_offsets[id] added?": _from(0, lambda i, tokens: 0),
    "every token's bytes read one place too far on": _from(1, _place),
    "tokens without their last byte: does the loop over the bytes end too early?": _with_holes(lambda t: t[:-1]),
    "only the first byte of every token": _with_holes(lambda t: t[:1]),
    "tokens without their first byte: does the loop over the bytes begin at 1?": _with_holes(
        lambda t: b"\xcd" + t[1:] if t else t
    ),
    "every token's bytes in reverse": lambda ids, tokens: _bytes([tokens[i][::-1] for i in ids]),
    "the tokens in reverse": lambda ids, tokens: _bytes([tokens[i] for i in reversed(ids)]),
    "all tokens written to the front of the text: is offsets[i] added?": _all_at_the_front,
}
