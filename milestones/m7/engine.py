"""The engine: load a model, prefill a prompt, decode, stop. How to use it from Python: README.md beside this file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m0.tokenizer import StreamDecoder
from milestones.m1.fetch import default_model
from milestones.m1.model_file import ModelFile, open_model
from milestones.m2.model import Forward, Model
from milestones.m3.sampler import GREEDY, Settings
from milestones.m5.weights import Weights
from milestones.m6.model import FastModel, unsupported
from milestones.m6.tokenizer import FastTokenizer
from milestones.m7.loop import Loop
from milestones.m7.stream import StopText

# (what, done, of how many: 0 if that is not known); with "" there is nothing to tell, only a chance to raise
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Token:
    """One generated token.

    `text` is what became certain with it: whole characters, often none, sometimes of earlier tokens too; the texts of a run
    joined are its completion. `logprob` is the natural log of its probability in the model's own distribution.
    """

    id: int
    text: str
    logprob: float


@dataclass
class Figures:
    """What a run of the loop cost. Times in seconds; the first new token counts as prefill's."""

    prompt_tokens: int = 0  # prefilled in this run
    new_tokens: int = 0  # the end-of-text token counts
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    kv_rows: int = 0  # rows of keys and values computed, over all layers
    reason: str = ""  # why it ended: end-of-text, stop string, limit, context full

    def line(self) -> str:
        """One line for a terminal. Decode speed counts the tokens after the first."""
        rates = []
        if self.prefill_seconds:
            rates.append(f"prefill {self.prompt_tokens / self.prefill_seconds:.1f} tok/s")
        if self.decode_seconds:  # none if the first token was the last
            rates.append(f"decode {(self.new_tokens - 1) / self.decode_seconds:.1f} tok/s")
        prompt = f"{self.prompt_tokens} prompt token{'s' if self.prompt_tokens != 1 else ''}"
        return f"{prompt}, {self.new_tokens} new ({self.reason}); " + ", ".join(rates)


class Engine:
    """A model, its tokenizer and its weights on the device. Raises UserError for files that cannot be used."""

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        gpu: Gpu | None = None,
        progress: Progress | None = None,
        kernels: str = "fast",
        activations: str = "float32",
        file: ModelFile | None = None,
        tokenizer: FastTokenizer | None = None,
    ):
        """`kernels` is "fast" (m6's, on packed weights, where they can run the model) or "naive" (m2's, m4's, on floats).

        `activations`: what a prompt's products read, "float32" or "float16" (of fast kernels alone; see m6's Prefill).

        `file` and `tokenizer` are the model's, where they are there already: opening and making them takes a while.
        """
        if kernels not in ("fast", "naive"):
            raise UserError(f"kernels must be fast or naive, got {kernels!r}")
        if activations not in ("float32", "float16"):
            raise UserError(f"activations must be float32 or float16, got {activations!r}")
        self.path = Path(path) if path is not None else default_model()
        self._progress = progress or (lambda what, done, total: None)
        self.gpu = gpu or Gpu(
            compiling=lambda done: self._progress("preparing kernels", done, 0), waiting=lambda: self._progress("", 0, 0)
        )
        self.file = file or open_model(self.path)
        self.tokenizer = tokenizer or FastTokenizer(self.gpu, self.file.vocabulary())
        weights = Weights(self.gpu, self.file)
        weights.check()
        why = "the plain ones are to run" if kernels == "naive" else unsupported(weights)
        self.kernels = "naive" if why else "fast"
        if why and activations != "float32":
            raise UserError(f"float16 activations are the fast kernels' alone, and {why}: leave --activation-type at f32")
        loaded = lambda done, total: self._progress("loading", done, total)  # noqa: E731
        self.model: Forward = (
            Model(self.gpu, weights, loaded) if why else FastModel(self.gpu, weights, loaded, activations=activations)
        )
        self.file.release()  # the weights are on the device
        self.figures = Figures()

    @property
    def chat_template(self) -> str | None:
        """The model's own chat template (Jinja source), if it has one."""
        return self.file.chat_template

    def encode(self, prompt: str | bytes, *, special: bool = True) -> list[int]:
        """A prompt's token ids, with the begin-of-text token where the model asks for one. UserError if empty."""
        ids = self.tokenizer.encode(prompt, special=special)
        if not ids:
            raise UserError("the prompt is empty: give at least one character")
        return self.tokenizer.prefix + ids

    def check_length(self, ids: Sequence[int]) -> None:
        """Raises UserError if so many tokens do not fit into the model's context."""
        if len(ids) > self.model.config.context:
            raise UserError(
                f"the prompt is {len(ids)} tokens, the model's context holds {self.model.config.context}: shorten the prompt"
            )

    def generate(
        self,
        prompt: str | bytes,
        *,
        max_tokens: int = 64,
        stop: Sequence[str] = (),
        settings: Settings = GREEDY,
        cached: bool = True,
        cache_dtype: str = "float32",
        special: bool = True,
    ) -> Iterator[Token]:
        """Yield the completion, token by token. `self.figures` holds the run's figures, complete when it ends.

        Ends at end-of-text (that token is the last one yielded), before a stop string, after `max_tokens`, or when the
        context is full. Raises UserError for an empty or too long prompt.
        """
        if max_tokens < 1:
            raise UserError(f"max-tokens must be at least 1, got {max_tokens}")
        stop = (stop,) if isinstance(stop, str) else stop
        ids = self.encode(prompt, special=special)
        self.check_length(ids)
        capacity = min(self.model.config.context, len(ids) + max_tokens)
        kept = {"cached": cached, "cache_dtype": cache_dtype}
        loop = Loop(self.gpu, self.model, settings=settings, capacity=capacity, **kept)  # type: ignore[arg-type]
        yield from self.run(loop, ids, max_tokens=max_tokens, stop=stop)

    def run(self, loop: Loop, ids: Sequence[int], *, max_tokens: int, stop: Sequence[str] = ()) -> Iterator[Token]:
        """`generate` for a loop that may hold earlier tokens already; `ids` come after them."""
        figures = self.figures = Figures(prompt_tokens=len(ids))
        decoder, gate, rows = StreamDecoder(), StopText(stop), self.model.kv_rows
        steps = loop.generate(ids, max_tokens, lambda done, total: self._progress("prefill", done, total))
        while not figures.reason:
            began = time.perf_counter()  # only the engine's own time: what the caller does with a token is not ours
            chosen = next(steps)
            elapsed = time.perf_counter() - began
            figures.new_tokens += 1
            if figures.new_tokens == 1:
                figures.prefill_seconds = elapsed
            else:
                figures.decode_seconds += elapsed
            figures.kv_rows = self.model.kv_rows - rows
            shown = b"" if self.tokenizer.is_special(chosen.id) else self.tokenizer.token_bytes(chosen.id)
            text = gate.feed(decoder.feed(shown))
            if gate.stopped:
                figures.reason = "stop string"
            elif chosen.id in self.tokenizer.ends:
                figures.reason = "end-of-text"
            elif figures.new_tokens == max_tokens:
                figures.reason = "limit"
            elif loop.full:
                figures.reason = "context full"
            if figures.reason:
                text += gate.feed(decoder.flush()) + gate.flush()
            yield Token(chosen.id, text, chosen.logprob)
