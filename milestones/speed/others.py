"""Engines that `firstlight bench --against` measures beside ours, where they are installed; imported only on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from milestones.speed.frontiers import THREADS, Runner


class LlamaCpp:
    """llama.cpp through llama-cpp-python, on as many threads as the machine has processors."""

    def __init__(self, path: Path, capacity: int):
        from llama_cpp import Llama, llama_get_logits_ith

        self.name = f"llama.cpp ({metadata.version('llama-cpp-python')})"
        self._llama = Llama(str(path), n_ctx=capacity, n_threads=THREADS, n_threads_batch=THREADS, verbose=False)
        self._logits = lambda: llama_get_logits_ith(self._llama.ctx, -1)  # of the last token; Llama.scores stays empty

    def feed(self, ids: Sequence[int]) -> int:
        self._llama.eval(list(ids))
        return int(np.argmax(np.ctypeslib.as_array(self._logits(), shape=(self._llama.n_vocab(),))))

    def rewind(self, length: int) -> None:
        self._llama.n_tokens = length

    def sizes(self, length: int) -> tuple[int, int]:
        return 0, 0


def fed(model: Any, ids: Any, cache: Any, **more: Any) -> Any:
    """What a model of transformers makes of (1, tokens) more ids; it leaves their keys and values in `cache`.

    The cache is given by its place: its name, `past_key_values` before transformers 5.24, is gone with 5.40.
    """
    return model(ids, None, None, cache, use_cache=True, **more)


class Transformers:
    """transformers in float32, on as many threads as the machine has processors."""

    def __init__(self, path: Path):
        import torch
        from transformers import AutoModelForCausalLM, DynamicCache

        torch.set_num_threads(THREADS)
        file = {"gguf_file": path.name} if path.is_file() else {}
        folder = path.parent if path.is_file() else path
        self.name = f"transformers float32 ({metadata.version('transformers')})"
        self._torch = torch
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **file).eval()
        self._past = DynamicCache()

    def feed(self, ids: Sequence[int]) -> int:
        with self._torch.no_grad():
            out = fed(self._model, self._torch.tensor([list(ids)]), self._past, logits_to_keep=1)
        return int(out.logits[0, -1].argmax())

    def rewind(self, length: int) -> None:
        if more := self._past.get_seq_length() - length:
            self._past.crop(-more)  # how many to forget: how many to keep is not taken any more (transformers 5)

    def sizes(self, length: int) -> tuple[int, int]:
        return 0, 0


OTHERS: dict[str, tuple[str, Callable[[Path, int], Runner]]] = {
    "llama.cpp": ("llama_cpp", LlamaCpp),
    "transformers": ("transformers", lambda path, capacity: Transformers(path)),
}


def others(names: Sequence[str], path: Path, capacity: int) -> Iterator[Runner | str]:
    """Each other engine by name, or why it is not run here."""
    for name in names:
        package, make = OTHERS[name]
        try:
            yield make(path, capacity)
        except ImportError:
            yield f"{name}: not run here: the package {package} is not installed"
        except (OSError, ValueError, RuntimeError) as problem:
            yield f"{name}: not run here: {str(problem).splitlines()[0] if str(problem) else type(problem).__name__}"
