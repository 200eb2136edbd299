"""Tokens for a person to look at: `firstlight tokenize`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from milestones.m0.tokenizer import Tokenizer

_STYLES = ("black on bright_cyan", "black on bright_yellow", "black on bright_green", "black on bright_magenta")
_VISIBLE = str.maketrans({" ": "·", "\n": "⏎", "\t": "→", "\r": "␍"})


def piece(data: bytes) -> str:
    """A token's bytes as a person can read them: quoted, bytes that are no character as \\xNN.

    >>> piece(" é".encode()), piece("é".encode()[:1])
    ("' é'", "b'\\\\xc3'")
    """
    text = _text(data)
    return repr(data) if text is None else repr(text)


def table(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """A line for each token: id, piece."""
    return "".join(f"{token:>8}  {piece(tokenizer.token_bytes(token))}\n" for token in ids)


def as_json_line(tokenizer: Tokenizer, text: str, ids: Sequence[int]) -> str:
    """One line of JSON. A piece is text where it is whole characters; `bytes` holds every piece's bytes in hexadecimal."""
    held = [tokenizer.token_bytes(token) for token in ids]
    size = len(text.encode("utf-8", "surrogateescape"))
    found = {"ids": list(ids), "pieces": [_text(b) for b in held], "bytes": [b.hex() for b in held]}
    return json.dumps({**found, "characters": len(text), "size": size}) + "\n"


def coloured(tokenizer: Tokenizer, ids: Sequence[int], console: Console) -> bool:
    """The text in colours that change from token to token, then the ids in the same colours; False, and nothing, without
    colours. Spaces show as ·, line ends as ⏎, bytes that are no whole character as \\xNN.
    """
    if console.color_system is None or console.no_color:
        return False
    shown, numbers = Text(), Text()
    for index, token in enumerate(ids):
        data, style = tokenizer.token_bytes(token), _STYLES[index % len(_STYLES)]
        text = _text(data)
        seen = "".join(chr(b) if 32 < b < 127 else "·" if b == 32 else f"\\x{b:02x}" for b in data)
        if text is not None:
            seen = text.translate(_VISIBLE)
        shown.append("".join(c if c.isprintable() else repr(c)[1:-1] for c in seen), style)
        shown.append("\n" if data.endswith(b"\n") else "")
        numbers.append(f" {token} ", style)
    console.print(shown, soft_wrap=True)
    console.print(numbers)
    return True


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
