"""What each type costs, measured: `python -m milestones.m5.study FOLDER [MODEL]` writes quality.json and quality.svg there.

The model (default: what `fetch` gets) is quantized to each type, and to Q8_0 with some of its tensors in Q4_0; each file's
predictions of prose.txt are compared with the model's own. It prints the README's table.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from metal.tensor import Gpu
from milestones.m1.fetch import default_model
from milestones.m5.perplexity import WINDOW, Cost, Predictor, compare, prose, summary
from milestones.m5.plot import scatter
from milestones.m5.quantize_file import quantize_file

# name → the type of the matrices, and others by name
RECIPES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "Q8_0": ("Q8_0", ()),
    "Q5_1": ("Q5_1", ()),
    "Q5_0": ("Q5_0", ()),
    "Q4_1": ("Q4_1", ()),
    "Q4_0": ("Q4_0", ()),
    "Q8_0, attention Q4_0": ("Q8_0", (("blk.*.attn_*", "Q4_0"),)),
    "Q8_0, feed-forward Q4_0": ("Q8_0", (("blk.*.ffn_*", "Q4_0"),)),
    "Q8_0, embedding Q4_0": ("Q8_0", (("token_embd.weight", "Q4_0"),)),
    "all Q4_0": ("Q4_0", (("*", "Q4_0"),)),
}


def study(model: Path, only: tuple[str, ...] = tuple(RECIPES)) -> dict[str, Cost]:
    """The figures of each recipe against the model itself, the model's own first."""
    text, nothing = prose(), lambda what, done, total: None
    gpu = Gpu()
    one = Predictor(gpu, model, nothing)
    windows = one.windows(text, WINDOW)
    floats = [one.log_probabilities(ids).astype(np.float32) for ids in windows]
    rows = [compare(p, np.asarray(ids[1:]), p) for p, ids in zip(floats, windows, strict=True)]
    found, bits = {"the model itself": summary(rows, WINDOW, one.bits)}, one.bits
    del one, bits
    for name in only:
        kind, own = RECIPES[name]
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "model.gguf"
            quantize_file(model, made, kind, own=own)
            other = Predictor(gpu, made, nothing)
            rows = []
            for theirs, ids in zip(floats, windows, strict=True):
                rows.append(compare(other.log_probabilities(ids), np.asarray(ids[1:]), theirs.astype(np.float64)))
            found[name] = summary(rows, WINDOW, other.bits)
        print(_row(name, found[name]), flush=True)
    return found


def _row(name: str, cost: Cost) -> str:
    if not cost.kl or cost.agreement is None:
        return f"| {name} | {cost.bits:.2f} | {cost.perplexity:.3f} | | |"
    return f"| {name} | {cost.bits:.2f} | {cost.perplexity:.3f} | {cost.kl:.5f} | {cost.agreement:.1%} |"


def main(folder: Path, model: Path) -> None:
    found = study(model)
    (folder / "quality.json").write_text(json.dumps({name: asdict(cost) for name, cost in found.items()}, indent=1) + "\n")
    points = [(name, cost.bits, cost.kl) for name, cost in found.items() if cost.kl]
    (folder / "quality.svg").write_text(scatter(points, "bits a weight", "KL divergence from the model itself, nats a token"))
    print("| | bits a weight | perplexity | KL divergence | same likeliest token |\n|---|---|---|---|---|")
    print("\n".join(_row(name, cost) for name, cost in found.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else default_model())
