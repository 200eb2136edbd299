"""The tokenizer's diagram: characters → bytes → tokens, and the merges of a piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from milestones.diagrams.device import Device
from milestones.diagrams.fields import Field, OneOf, Text, Whole
from milestones.diagrams.registry import Diagram, Endpoint
from milestones.errors import UserError
from milestones.m0.diagram.merges import Merges
from milestones.m0.golden import vocabularies
from milestones.m0.tokenizer import Tokenizer

if TYPE_CHECKING:
    from milestones.diagrams.recorder import Recorder

MOST = 8_000  # bytes of a text
LONGEST = 120  # bytes of a piece whose merges are shown
NAMES = {"model": "the model’s own", "gpt2": "GPT-2", "qwen": "Qwen"}


def shown(data: bytes) -> str:
    """A token's bytes as text; those that are no whole character as \\xNN.

    >>> shown(b"caf\\xc3"), shown("é".encode())
    ('caf\\\\xC3', 'é')
    """
    return "".join(
        f"\\x{ord(c) - 0xDC00:02X}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in data.decode("utf-8", "surrogateescape")
    )


def _tokenizer(device: Device, name: str) -> Tokenizer:
    if name == "model":
        return device.tokenizer
    if not vocabularies.in_cache(name):
        raise UserError(f"the vocabulary of {NAMES[name]} is not here: `pytest milestones/m0` fetches it")
    return device.kept(f"tokenizer {name}", lambda: Tokenizer(device.gpu, vocabularies.vocabulary(name)))


def encode(device: Device, text: str, vocabulary: str) -> dict[str, Any]:
    """Each piece with its bytes and tokens, the text decoded again, and the bytes that the vocabulary lacks."""
    tokenizer = _tokenizer(device, vocabulary)
    pieces, found, lacking, offset = tokenizer.pieces(text), [], [], 0
    for data, ids in pieces:
        tokens = []
        for token in ids:
            held = tokenizer.token_bytes(token)
            tokens.append({"id": token, "text": shown(held), "bytes": held.hex()})
        special = len(ids) == 1 and ids[0] in tokenizer.vocabulary.special.values()
        found.append({"text": shown(data), "bytes": data.hex(), "special": special, "tokens": tokens})
        if not special:
            lacking += [{"byte": byte, "offset": offset + at} for at, byte in enumerate(data) if byte in tokenizer.lacking]
        offset += len(data)
    decoded = tokenizer.decode([token for _, ids in pieces for token in ids])
    return {
        "characters": len(text),
        "bytes": len(text.encode()),
        "tokens": sum(len(ids) for _, ids in pieces),
        "pieces": found,
        "decoded": decoded.decode("utf-8", "replace"),
        "equal": decoded == text.encode(),
        "lacking": lacking,
        "size": tokenizer.size,
        "vocabularies": [[name, words] for name, words in NAMES.items() if name == "model" or vocabularies.in_cache(name)],
    }


def merges(device: Device, text: str, vocabulary: str, piece: int) -> dict[str, Any]:
    """The merges of a piece of the text, by its number, one after the other."""
    tokenizer = _tokenizer(device, vocabulary)
    pieces = tokenizer.pieces(text)
    if piece >= len(pieces):
        raise UserError(
            f"the text has {len(pieces)} piece{'s' if len(pieces) != 1 else ''}: there is none with the number {piece}"
        )
    data, ids = pieces[piece]
    held = data.translate(None, tokenizer.lacking)
    said = {"piece": piece, "text": shown(data), "ids": ids, "steps": [], "end": [], "note": ""}
    if len(ids) == 1 and ids[0] in tokenizer.vocabulary.special.values():
        return said | {"end": [shown(data)], "note": "A special token is found as text, before any merge."}
    if len(data) > LONGEST:
        return said | {"note": f"This piece has {len(data):,} bytes; merges are shown of pieces up to {LONGEST}."}
    if not held:
        return said | {"note": "The vocabulary has no token for any byte of this piece."}
    walk = device.kept(f"merges {vocabulary}", lambda: Merges(tokenizer.vocabulary)).walk(held)
    if list(walk.ids) != ids:
        raise AssertionError(f"the walk over the merges of {held!r} ends in {walk.ids}, the kernel in {ids}")
    steps = [{"symbols": [shown(s) for s in step.symbols], "at": step.at, "rank": step.rank} for step in walk.steps]
    whole = "This vocabulary takes a piece that is a token as it is: no merge is needed."
    return said | {"steps": steps, "end": [shown(s) for s in walk.symbols], "note": whole if walk.whole else ""}


EXAMPLES = (
    ("Words", "the cat sat on the mat"),
    ("Emoji", "naïve café 🙃 👩\u200d🚀"),
    ("Code", "def f(n):\n    return n * 2024"),
    ("Rare", "antidisestablishmentarianism"),
    ("Lacking", "a bell: \x06 rings"),
)


def recording(recorder: Recorder) -> None:
    """Every example in every vocabulary that is here, and the merges of each of its pieces."""
    for _, text in EXAMPLES:
        with recorder.example(text):
            told = recorder.ask("encode", text=text, vocabulary="model")
            for name, _ in told["vocabularies"]:
                told = recorder.ask("encode", text=text, vocabulary=name)
                for piece in range(len(told["pieces"])):
                    recorder.ask("merges", text=text, vocabulary=name, piece=piece)


_FIELDS: dict[str, Field] = {"text": Text(MOST), "vocabulary": OneOf(tuple(NAMES))}

DIAGRAM = Diagram(
    name="tokenizer",
    milestone="m0",
    title="Tokenizer: text becomes numbers",
    lead="A model never sees letters. It sees ids, each the number of a piece of text in a vocabulary learned earlier. Type, "
    "and watch your text go the way that every prompt goes.",
    notes=(
        "A chip is a token: its piece of your text above, its id below. A space is part of the piece that follows it, and is "
        "shown as ·; other capitals or another space give other ids.",
        "The text is first cut into pieces that merges never cross, then each piece starts as single bytes. A character may be "
        "several bytes, and a token may hold only some of them: those are shown as numbers such as \\xF0.",
        "Choose a chip to see how its piece came about. Of all neighbours, the pair whose merge was learned first, with "
        "the lowest rank, is joined; then again, until no pair has a rank. It is not the longest match.",
        "Nothing is lost: the ids, decoded again on the device, give your text to the byte. Where the vocabulary has no token "
        "for a byte, it is named here rather than dropped in silence.",
    ),
    files=(
        "milestones/m0/bpe.metal",
        "milestones/m0/detokenize.metal",
        "milestones/m0/tokenizer.py",
        "milestones/m0/diagram/merges.py",
    ),
    sources=("Inference Engineering (Kiely), §2.2, p. 46", "ds4: ds4.c, its vocabulary in a hash table"),
    endpoints={
        "encode": Endpoint(_FIELDS, encode),
        "merges": Endpoint({**_FIELDS, "piece": Whole(0, MOST)}, merges),
    },
    examples=EXAMPLES,
    recording=recording,
    recorded="The tokens of the examples and the merges of all their pieces are recorded, in the vocabularies that were there.",
)
