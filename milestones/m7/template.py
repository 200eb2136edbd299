"""Chat templates: a model file's own Jinja program, run in a sandbox, because the file is untrusted; and its result as token
ids, because what a person typed is untrusted too: none of it is ever read as a special token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import Environment, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from milestones.errors import UserError
from milestones.m0.tokenizer import Tokenizer

Message = Mapping[str, str]  # {"role": "system" | "user" | "assistant", "content": …}

LARGEST = 1 << 24  # characters a template may make, of all there may be at once
_MARK = "\ufdd0"  # a noncharacter: no text has it; if one has, it is guarded like the rest


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, and no giant strings or numbers either: 'a' * 10**10 is one line."""

    intercepted_binops = frozenset(["*", "**"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(x) if isinstance(x, (str, list, tuple)) else abs(x) for x in (left, right) if not isinstance(x, dict)]
        if operator == "**" or len(sizes) < 2 or sizes[0] * sizes[1] > LARGEST:
            raise SecurityError(f"the operation {operator} is too large")
        return super().call_binop(context, operator, left, right)


class ChatTemplate:
    """A chat template and the tokenizer that its result is for. Raises UserError for a template that cannot be read."""

    def __init__(self, source: str, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        special = tokenizer.vocabulary.special
        self._special = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))) or r"(?!)")
        self._names = tuple(special)
        self._edges = {text[:n] for text in special for n in range(1, len(text))}  # what a special token may begin with
        self._ends = {text[n:] for text in special for n in range(1, len(text))}
        sandbox: Environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        sandbox.globals |= {"raise_exception": _refuse, "strftime_now": lambda layout: datetime.now().strftime(layout)}
        sandbox.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
        try:
            self._template = sandbox.from_string(source)
        except (TemplateError, RecursionError, MemoryError) as problem:
            raise UserError(f"the model's chat template cannot be read ({_line(problem)})") from None

    def render(self, messages: Sequence[Message], *, prompt: bool = True) -> str:
        """The conversation as one text, ending where the answer begins if `prompt`. Every content in it is guarded: `encode`
        knows what to do with that, and `plain` gives it back. Raises UserError if the template refuses or fails.
        """
        names = {"bos_token": self._text(self._tokenizer.bos), "eos_token": self._text(self._tokenizer.eos)}
        guarded = [{**m, "content": self.guard(m["content"])} for m in messages]
        pieces, size = [], 0
        try:
            for piece in self._template.generate(messages=guarded, add_generation_prompt=prompt, **names):
                pieces.append(piece)
                size += len(piece)
                if size > LARGEST:
                    raise SecurityError("it makes more text than can be meant")
        except Exception as problem:  # whatever a foreign program raises
            raise UserError(f"the model's chat template refuses this conversation or fails ({_line(problem)})") from None
        return "".join(pieces)

    def encode(self, rendered: str) -> list[int]:
        """Token ids of a rendered text: the template's special tokens are read as such, a content's are plain text."""
        ids: list[int] = []
        at = 0
        for match in self._special.finditer(rendered):
            ids += self._tokenizer.encode(self.plain(rendered[at : match.start()]), special=False)
            ids.append(self._tokenizer.vocabulary.special[match[0]])
            at = match.end()
        return ids + self._tokenizer.encode(self.plain(rendered[at:]), special=False)

    def guard(self, content: str) -> str:
        """`content` with one character of whatever could be read as a special token, or as part of one that goes on beyond
        its edges, written as a number between marks."""
        content = content.replace(_MARK, _hide(_MARK))
        content = self._special.sub(lambda match: _hide(match[0][0]) + match[0][1:], content)
        if any(content.endswith(edge) for edge in self._edges):
            content = content[:-1] + _hide(content[-1])
        if any(content.startswith(end) for end in self._ends) or any(content in text for text in self._names if content):
            content = _hide(content[0]) + content[1:]
        return content

    @staticmethod
    def plain(guarded: str) -> str:
        """What `guard` was given."""
        return re.sub(f"{_MARK}([0-9a-fA-F]+){_MARK}", lambda match: chr(int(match[1], 16)), guarded)

    def _text(self, token: int | None) -> str:
        return "" if token is None else self._tokenizer.token_bytes(token).decode("utf-8", "replace")


def _hide(character: str) -> str:
    return f"{_MARK}{ord(character):x}{_MARK}"


def _refuse(message: str) -> NoReturn:
    raise TemplateError(str(message))


def _line(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
