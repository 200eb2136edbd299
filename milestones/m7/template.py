"""Chat templates: a model file's own Jinja program, run in a sandbox and a process of its own, because the file is untrusted;
and its result as token ids, because what a person typed is untrusted too: none of it is ever read as a special token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from milestones.errors import UserError
from milestones.m0.tokenizer import Tokenizer
from milestones.m7.template_process import TemplateProcess

Message = Mapping[str, str]  # {"role": "system" | "user" | "assistant", "content": …}

_MARK, _BORDER = "\ufdd0", "\ufdd1"  # noncharacters: no text has them; if one has a mark, it is guarded like the rest
_DIGITS = "".join(map(chr, range(0xFDE0, 0xFDF0)))  # noncharacters too: no vocabulary has a special token made of these
# A character's number in those digits, up to 10FFFF: a template can write marks too, and there is no character beyond.
_HIDDEN = re.compile(f"{_MARK}((?:{_DIGITS[1]}{_DIGITS[0]}|[{_DIGITS}])?[{_DIGITS}]{{1,4}}){_MARK}")
_TO_DIGITS, _FROM_DIGITS = str.maketrans("0123456789abcdef", _DIGITS), str.maketrans(_DIGITS, "0123456789abcdef")
_REACH = 64  # characters of a content's edge: as many anywhere in a special token are guarded, fewer only at its ends


class ChatTemplate:
    """A chat template and the tokenizer that its result is for. Raises UserError for a template that cannot be read."""

    def __init__(self, source: str, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        special = tokenizer.vocabulary.special
        special_text = "|".join(map(re.escape, sorted(special, key=len, reverse=True))) or r"(?!)"
        self._special = re.compile(special_text)
        self._starts = re.compile(f"(?={special_text}).", re.DOTALL)  # of each, also of one inside another
        self._names = _BORDER.join(["", *special, ""])  # to be searched in
        self._process = TemplateProcess(source)

    def render(self, messages: Sequence[Message], *, prompt: bool = True) -> str:
        """The conversation as one text, ending where the answer begins if `prompt`. Every content in it is guarded: `encode`
        knows what to do with that, and `plain` gives it back. Raises UserError if the template refuses or fails.
        """
        names = {"bos_token": self._text(self._tokenizer.bos), "eos_token": self._text(self._tokenizer.eos)}
        guarded = [{**m, "content": self.guard(m["content"])} for m in messages]
        text = self._process.render(messages=guarded, add_generation_prompt=prompt, **names)
        if not text:
            raise UserError("the model's chat template makes no text of this conversation: use `firstlight generate`")
        return text

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
        content = self._starts.sub(lambda match: _hide(match[0]), content)
        if not content:
            return content
        reach = range(1, min(len(content), _REACH) + 1)
        if content[-_REACH:] in self._names or any(_BORDER + content[-n:] in self._names for n in reach):
            content = content[:-1] + _hide(content[-1])
        if content[:_REACH] in self._names or any(content[:n] + _BORDER in self._names for n in reach):
            content = _hide(content[0]) + content[1:]
        return content

    @staticmethod
    def plain(guarded: str) -> str:
        """What `guard` was given."""
        return _HIDDEN.sub(lambda match: chr(int(match[1].translate(_FROM_DIGITS), 16)), guarded)

    def _text(self, token: int | None) -> str:
        return "" if token is None else self._tokenizer.token_bytes(token).decode("utf-8", "replace")


def _hide(character: str) -> str:
    return _MARK + f"{ord(character):x}".translate(_TO_DIGITS) + _MARK
