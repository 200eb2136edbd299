"""A vocabulary from a Hugging Face folder's tokenizer.json: byte-level BPE with a pre-tokenizer that is known here.

What the file asks for and this tokenizer lacks is refused by name, never ignored: the ids would be others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from milestones.errors import UserError
from milestones.m0.pretokenize import GPT2, PATTERNS
from milestones.m0.vocabulary import Vocabulary, as_bytes, as_merges, end_tokens

LARGEST_ID = 1 << 24  # the largest vocabularies are a sixtieth of that


def vocabulary_of(data: Mapping[str, Any], *, eos: Iterable[int] = (), bos: int | None = None) -> Vocabulary:
    """The vocabulary in a parsed tokenizer.json. `eos`, `bos`: ids that the folder's other files name.

    Raises UserError naming what is missing, damaged or not supported.
    """
    if not isinstance(data, Mapping):
        _refuse("it is no JSON object")
    model = _object(data, "model")
    if model.get("type", "BPE") != "BPE":
        _refuse(f"its model is of type {model.get('type')!r}; only BPE is supported")
    for feature in ("byte_fallback", "dropout", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk"):
        if model.get(feature):
            _refuse(f"its model asks for {feature}, which is not supported")
    added = _added(data)
    texts = _texts(model, added)
    special = {text: i for text, i in added.items() if text}
    eos = sorted(set(eos))
    for token in (*eos, *([] if bos is None else [bos])):
        if not 0 <= token < len(texts):
            _refuse(f"another file names token {token}, and there are {len(texts)}")
    prefix = _prefix(data, special)
    return Vocabulary(
        tokens=as_bytes(texts, set(added.values())),
        merges=as_merges(_list(model, "merges"), texts),
        special=special,
        written=frozenset(entry["id"] for entry in data.get("added_tokens") or [] if not entry.get("special")),
        pre_tokenizer=_pre_tokenizer(data.get("pre_tokenizer")),
        eos=eos[0] if eos else None,
        bos=bos if prefix is None else prefix,
        add_bos=prefix is not None,
        ends=end_tokens(special, eos),
        whole_first=bool(model.get("ignore_merges")),
        normal_form=_normal_form(data.get("normalizer")),
    )


def _refuse(problem: str) -> NoReturn:
    raise UserError(f"tokenizer.json cannot be used: {problem}: give another model")


def _object(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    if not isinstance(value, Mapping):
        _refuse(f"{key!r} is missing or of the wrong kind")
    return value


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    if not isinstance(value, list):
        _refuse(f"{key!r} is missing or of the wrong kind")
    return value


def _added(data: Mapping[str, Any]) -> dict[str, int]:
    """Added tokens, which are found in the text before any merge: content → id."""
    added = {}
    entries = data.get("added_tokens") or []
    if not isinstance(entries, list):
        _refuse("'added_tokens' is of the wrong kind")
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("content"), str) or type(entry.get("id")) is not int:
            _refuse(f"an added token is of the wrong kind: {str(entry)[:80]}")
        for flag in ("lstrip", "rstrip", "single_word"):
            if entry.get(flag):
                _refuse(f"the added token {entry['content']!r} asks for {flag}, which is not supported")
        added[entry["content"]] = entry["id"]
    return added


def _texts(model: Mapping[str, Any], added: Mapping[str, int]) -> list[str]:
    """The text of each id, "" where there is none."""
    known: dict[int, str] = {}
    for text, token in (*_object(model, "vocab").items(), *added.items()):
        if type(token) is not int or not 0 <= token < LARGEST_ID:
            _refuse(f"the token {text!r} has the id {str(token)[:40]}")
        if known.setdefault(token, text) != text:
            _refuse(f"the id {token} is given to {known[token]!r} and to {text!r}")
    if not known:
        _refuse("it has no tokens")
    if max(known) > 4 * len(known) + 1024:  # a list of them would be mostly gaps
        _refuse(f"it has {len(known)} tokens, one of them with the id {max(known)}")
    return [known.get(i, "") for i in range(max(known) + 1)]


def _pre_tokenizer(entry: Any) -> str:
    """The name of the pre-tokenizer that `entry` describes, in the words of GGUF files."""
    parts = _steps(entry, "pretokenizers")
    kinds = [part.get("type") for part in parts]
    if not kinds or kinds[-1] != "ByteLevel" or parts[-1].get("add_prefix_space"):
        _refuse(f"its pre-tokenizer {'+'.join(map(str, kinds))} is not supported")
    own_pattern = parts[-1].get("use_regex", True)
    if kinds == ["ByteLevel"] and own_pattern:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and own_pattern and parts[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not own_pattern:
        split = parts[0]
        pattern = split.get("pattern", {})
        wanted = pattern.get("Regex") if isinstance(pattern, Mapping) else None
        name = next((name for name, known in {**PATTERNS, "gpt-2": GPT2}.items() if known == wanted), None)
        if name and split.get("behavior") == "Isolated" and not split.get("invert"):
            return name
        _refuse(f"its pre-tokenizer splits by a pattern that is not known here: {str(wanted)[:60]!r}")
    _refuse(f"its pre-tokenizer {'+'.join(map(str, kinds))} is not supported")


def _steps(entry: Any, key: str) -> list[Mapping[str, Any]]:
    """The steps of a "Sequence", or the one step that is there instead."""
    if entry is None:
        return []
    steps = entry.get(key) if isinstance(entry, Mapping) and entry.get("type") == "Sequence" else [entry]
    if not isinstance(steps, list) or not all(isinstance(step, Mapping) for step in steps):
        _refuse(f"{key!r} is of the wrong kind")
    return steps


def _normal_form(entry: Any) -> str | None:
    if entry is None:
        return None
    if isinstance(entry, Mapping) and entry.get("type") == "NFC":
        return "NFC"
    _refuse(f"its normalizer {str(entry)[:60]} is not supported")


def _prefix(data: Mapping[str, Any], special: Mapping[str, int]) -> int | None:
    """The token that the post-processor writes before every text, if it does."""
    found = None
    for step in _steps(data.get("post_processor"), "processors"):
        kind = step.get("type")
        if kind == "TemplateProcessing":
            single = step.get("single") or []
            if not isinstance(single, list):
                _refuse("'single' is of the wrong kind")
            words = [next(iter(item.items())) for item in single if isinstance(item, Mapping) and item]
            names = [str(value.get("id")) if isinstance(value, Mapping) else "" for _, value in words]
            if [name for name, _ in words] not in (["Sequence"], ["SpecialToken", "Sequence"]):
                _refuse("its post-processor writes tokens after a text, or several before it, which is not supported")
            if len(words) == 2:
                if names[0] not in special:
                    _refuse(f"its post-processor writes {names[0]!r}, which is no added token")
                found = special[names[0]]
        elif kind != "ByteLevel":
            _refuse(f"its post-processor {kind} is not supported")
    return found
