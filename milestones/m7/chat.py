"""A conversation: turns, the model's own template, and a cache that is kept, so that a turn prefills only what is new."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from milestones.errors import UserError
from milestones.m3.sampler import GREEDY, Settings
from milestones.m7.engine import Engine, Token
from milestones.m7.loop import Loop
from milestones.m7.template import ChatTemplate


class Chat:
    """Turns of a conversation with an engine. `messages` is its record.

    Raises UserError if the model has no chat template, or none that can be used.
    """

    def __init__(self, engine: Engine, *, settings: Settings = GREEDY, system: str | None = None, cache_dtype: str = "float32"):
        self.engine, self.settings, self.system, self._cache_dtype = engine, settings, system, cache_dtype
        source = engine.chat_template
        if source is None:
            raise UserError("the model has no chat template, so it cannot be talked with: use `firstlight generate`")
        self.template = ChatTemplate(source, engine.tokenizer)
        self.reset()

    def reset(self) -> None:
        """Forget everything that was said."""
        self.messages: list[dict[str, str]] = [{"role": "system", "content": self.system}] if self.system is not None else []
        self._loop = Loop(self.engine.gpu, self.engine.model, settings=self.settings, cache_dtype=self._cache_dtype)
        self._rendered = (
            ""  # the conversation so far as a text, and the ids that stand for it: the answers' as they were chosen
        )
        self._ids: list[int] = []

    def reply(self, text: str, *, max_tokens: int = 1024) -> Iterator[Token]:
        """Yield the answer to `text`, token by token. What has come counts as said, even if the caller stops in the middle.

        `engine.figures.prompt_tokens` says how many tokens were prefilled: those that the cache did not hold already.
        Raises UserError, and nothing counts as said, if the text is empty or the conversation does not fit into the context.
        """
        if not text.strip():
            raise UserError("the message is empty: say something")
        rendered = self.template.render([*self.messages, {"role": "user", "content": text}])
        ids, loop = self._encode(rendered), self._loop
        if len(ids) >= loop.capacity:
            raise UserError(
                f"the conversation is {len(ids)} tokens with this message, the model's context holds {loop.capacity}: "
                "begin anew with /reset, or say less"
            )
        kept = _agree(loop.ids, ids[:-1])  # one token at least must be fed, for its logits
        loop.rewind(kept)
        self.messages.append({"role": "user", "content": text})
        answer: list[Token] = []
        try:
            for token in self.engine.run(loop, ids[kept:], max_tokens=max_tokens):
                answer.append(token)
                yield token
        finally:
            said = "".join(token.text for token in answer)
            if said:
                self.messages.append({"role": "assistant", "content": said})
                self._rendered = rendered + self.template.guard(said)
                self._ids = ids + [token.id for token in answer if token.id not in self.engine.tokenizer.ends]
            else:
                self.messages.pop()

    def _encode(self, rendered: str) -> list[int]:
        """The ids of the conversation. As far as it goes on from the one before, that one's ids stay as they are."""
        if self._ids and rendered.startswith(self._rendered):
            return self._ids + self.template.encode(rendered[len(self._rendered) :])
        ids, prefix = self.template.encode(rendered), self.engine.tokenizer.prefix
        return ids if ids[: len(prefix)] == prefix else prefix + ids  # a template may write the begin-of-text token itself

    def save(self, path: Path) -> None:
        """Write the conversation as JSON. Whole or not at all; raises UserError if the file is there or cannot be written."""
        record: dict[str, Any] = {"model": self.engine.path.name, "settings": vars(self.settings), "messages": self.messages}
        text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
        try:
            with open(path, "x", encoding="utf-8", errors="backslashreplace") as file:
                try:
                    file.write(text)
                    file.flush()
                except BaseException:
                    os.unlink(path)
                    raise
        except FileExistsError:
            raise UserError(f"{str(path)!r} is there already: name another file") from None
        except (OSError, ValueError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else problem
            raise UserError(f"{str(path)!r} cannot be written ({why}): name another file") from None


def _agree(a: Sequence[int], b: Sequence[int]) -> int:
    """How many of the first ids are the same in both."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
