"""What a model's weights cost in quality: perplexity, and how far its distributions are from those of another model.

The text is cut into windows of tokens; each begins anew, and every token of it but the first is predicted from those before it
in the window. With p(t) the probability that a model gives to the token t that stands there, over all N predicted tokens:

    perplexity = exp(−1/N Σ ln p(t))        how many equally likely tokens the model hesitates between
    KL         = 1/N Σ Σₛ P(s) ln(P(s) / Q(s))   in nats, P the other model's distribution, Q this one's: 0 if they agree
    agreement  = how often both find the same token likeliest

Logits come from the device; what follows is NumPy in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m0.tokenizer import Tokenizer
from milestones.m1.gguf_values import quoted
from milestones.m1.model_file import TensorInfo, open_model
from milestones.m2.model import Model
from milestones.m5.weights import Weights

Progress = Callable[[str, int, int], None]
WINDOW = 256  # tokens


@dataclass(frozen=True)
class Cost:
    """The figures. Those that compare are None where there is nothing to compare with."""

    predicted: int  # tokens
    window: int
    perplexity: float
    error: float | None  # one standard error of the perplexity, the predictions taken for independent; None of one alone
    bits: float  # of the file, per weight
    other_perplexity: float | None = None
    kl: float | None = None
    agreement: float | None = None


def prose() -> str:
    """The text that comes with this milestone: the prose of this repository's own chapters."""
    return resources.files("milestones.m5").joinpath("prose.txt").read_text(encoding="utf-8")


def measure(
    path: Path, text: str, *, against: Path | None = None, window: int = WINDOW, progress: Progress | None = None
) -> Cost:
    """The perplexity of the model in `path` on a text; with `against`, how far it is from that model.

    Raises UserError for files that cannot be used, models with different tokens, a text of fewer than two tokens.
    """
    progress = progress or (lambda what, done, total: None)
    gpu = Gpu(compiling=lambda done: progress("preparing kernels", done, 0), waiting=lambda: progress("", 0, 0))
    one = Predictor(gpu, path, progress)
    other = None if against is None else Predictor(gpu, against, progress)
    if other is not None and not _same_tokens(one.tokens, other.tokens):
        raise UserError(f"{quoted(path)} and {quoted(other.path)} have different tokens: give two files of one model")
    rows = []
    windows = one.windows(text, window)
    for done, ids in enumerate(windows):
        progress("predicting", done, len(windows))
        theirs = other.log_probabilities(ids) if other else None
        rows.append(compare(one.log_probabilities(ids), np.asarray(ids[1:]), theirs))
    return summary(rows, window, one.bits)


def _same_tokens(a: Tokenizer, b: Tokenizer) -> bool:
    """Whether they give the same ids. An id that nobody uses has no bytes in a folder, and a name in a file."""
    pairs = zip(a.vocabulary.tokens, b.vocabulary.tokens, strict=False)
    return a.size == b.size and all(x == y or not x or not y for x, y in pairs)


def bits_a_weight(tensors: Collection[TensorInfo]) -> float:
    """Of all of them together."""
    return 8 * sum(info.nbytes for info in tensors) / sum(math.prod(info.shape) for info in tensors)


class Predictor:
    """A model that predicts each token of a window. Raises UserError for a file that cannot be used."""

    def __init__(self, gpu: Gpu, path: Path, progress: Progress):
        self.path, self._gpu, file = path, gpu, open_model(path)
        weights = Weights(gpu, file)
        weights.check()
        self.bits = bits_a_weight(file.tensors.values())
        self._model = Model(gpu, weights, lambda done, total: progress(f"loading {path.name}", done, total))
        self.tokens = Tokenizer(gpu, file.vocabulary())

    def windows(self, text: str, window: int) -> list[list[int]]:
        """The text's tokens, `window` at a time. Raises UserError if there are not two."""
        ids = self.tokens.encode(text, special=False)
        room = self._model.config.context - len(self.tokens.prefix)
        if window > room:
            raise UserError(f"a window of {window} tokens does not fit into the model's context of {room}: give a smaller one")
        found = [ids[i : i + window] for i in range(0, len(ids), window)]
        if not found or len(found[0]) < 2:
            raise UserError(f"the text is {len(ids)} tokens: at least two are needed to predict one from another")
        return [w for w in found if len(w) > 1]

    def log_probabilities(self, ids: Sequence[int]) -> np.ndarray:
        """ln p (n − 1, vocabulary) of what follows each of n tokens but the last."""
        logits = self._model.forward([*self.tokens.prefix, *ids], all_rows=True)
        self._gpu.sync()
        found = logits.numpy()[-len(ids) : -1]
        if not np.isfinite(found).all():
            raise UserError(f"{quoted(self.path)}: the model gives logits that are no numbers: get the file again")
        return log_softmax(found)


def compare(mine: np.ndarray, targets: np.ndarray, theirs: np.ndarray | None = None) -> np.ndarray:
    """Per predicted token: −ln p of this model, of the other, KL, agreement (4, n). `mine`, `theirs`: ln p (n, vocabulary)."""
    at = np.arange(len(targets)), targets
    if theirs is None:
        return np.stack([-mine[at], *[np.full(len(targets), np.nan)] * 3])
    kl = (np.exp(theirs) * (theirs - mine)).sum(axis=1)
    return np.stack([-mine[at], -theirs[at], kl, mine.argmax(axis=1) == theirs.argmax(axis=1)])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logits (n, vocabulary) → ln of the probabilities, float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def summary(rows: Sequence[np.ndarray], window: int, bits: float) -> Cost:
    """The figures of what `compare` gave for each window."""
    mine, theirs, kl, same = np.concatenate(rows, axis=1)
    n = mine.size
    perplexity = float(np.exp(mine.mean()))
    error = perplexity * float(mine.std(ddof=1)) / n**0.5 if n > 1 else None
    if np.isnan(kl[0]):
        return Cost(n, window, perplexity, error, bits)
    return Cost(n, window, perplexity, error, bits, float(np.exp(theirs.mean())), float(kl.mean()), float(same.mean()))


def lines(cost: Cost) -> str:
    """The figures for a person."""
    error = "" if cost.error is None else f" ± {cost.error:.3f}"
    tokens = f"{cost.predicted:,} token{'' if cost.predicted == 1 else 's'}"
    text = f"perplexity {cost.perplexity:.3f}{error}, {tokens} in windows of {cost.window}; "
    text += f"{cost.bits:.2f} bits a weight\n"
    if cost.kl is None or cost.agreement is None:
        return text
    return text + (
        f"against {cost.other_perplexity:.3f}: KL divergence {cost.kl:.5f} nats a token, "
        f"the same likeliest token {cost.agreement:.1%} of the time\n"
    )
