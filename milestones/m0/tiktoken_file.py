"""A vocabulary from tiktoken's rank files: lines of a token in base 64 and its rank, which is its id too.

Such a file has no merges. Its rule (https://github.com/openai/tiktoken): a piece that is a token is taken whole; else of all
adjacent pairs that together are a token, the one of the lowest rank is merged, the leftmost of equals. So every way to cut a
token in two tokens is a merge, with the token's own rank.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from milestones.errors import UserError
from milestones.m0.vocabulary import Vocabulary, check_pre_tokenizer, end_tokens


def read_tiktoken(path: Path, *, pre_tokenizer: str, special: Mapping[str, int] | None = None) -> Vocabulary:
    """The vocabulary in a rank file; the pattern and the special tokens are not in it. Raises UserError for a damaged file."""
    check_pre_tokenizer(pre_tokenizer)
    ranks = _read(path)
    marked = dict(special or {})
    size = max([*ranks.values(), *marked.values()]) + 1
    tokens = [b""] * size
    for token, rank in ranks.items():
        tokens[rank] = token
    for text, index in marked.items():
        tokens[index] = text.encode()
    cuts = [
        (ranks[token[:at]], ranks[token[at:]], rank)
        for token, rank in ranks.items()
        for at in range(1, len(token))
        if token[:at] in ranks and token[at:] in ranks
    ]
    merges = np.array(cuts, np.uint32).reshape(-1, 3)
    return Vocabulary(
        tokens=tokens,
        merges=np.ascontiguousarray(merges[:, :2]),
        merge_ranks=np.ascontiguousarray(merges[:, 2]),
        special=marked,
        pre_tokenizer=pre_tokenizer,
        ends=end_tokens(marked, []),
        whole_first=True,
    )


def _read(path: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as problem:
        raise UserError(f"{str(path)!r} cannot be read ({problem.strerror}): give a tiktoken rank file") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            text, rank = line.split()
            ranks[base64.b64decode(text, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise UserError(
                f"{str(path)!r}: line {number} is not a token in base 64 and a rank: give a tiktoken rank file"
            ) from None
    if not ranks or sorted(ranks.values()) != list(range(len(ranks))):
        raise UserError(f"{str(path)!r}: its ranks are not 0, 1, 2, … each once: the file is damaged")
    return ranks
