"""What each type costs, measured: `python -m milestones.m5.golden.quality` writes quality.json and quality.svg beside it.

The default model is quantized to each type, and to Q8_0 with some of its tensors in Q4_0; each file's predictions of prose.txt
are compared with the model's own. It prints the README's table. The predictions are transformers' in float32, of the weights as
the `gguf` package reads them: `firstlight perplexity` gives the same figures, and takes longer over it.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader, quants
from transformers import LlamaForCausalLM

from metal.tensor import Gpu
from milestones.m0.tokenizer import Tokenizer
from milestones.m1.fetch import default_model
from milestones.m1.model_file import open_model
from milestones.m1.test_hf_model import their_name
from milestones.m5.perplexity import WINDOW, Cost, compare, log_softmax, prose, summary
from milestones.m5.plot import scatter
from milestones.m5.quantize_file import quantize_file
from milestones.m7.golden.make import load_oracle

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


def state_of(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a Llama-type GGUF file by transformers' names, dequantized by the `gguf` package."""
    reader = GGUFReader(path)
    heads = {f"attn_{x}": int(reader.fields[f"llama.attention.head_count{y}"].contents()) for x, y in (("q", ""), ("k", "_kv"))}
    found = {}
    for t in reader.tensors:
        values = quants.dequantize(t.data, t.tensor_type).reshape(tuple(reversed(t.shape.tolist())))
        count = heads.get(t.name.split(".")[-2])
        if count:  # rows of a pair stand side by side in GGUF, half a head apart in transformers
            values = values.reshape(count, -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        found[their_name(t.name)] = torch.from_numpy(np.ascontiguousarray(values))
    return found


def log_probabilities(model: LlamaForCausalLM, windows: list[list[int]]) -> Iterator[np.ndarray]:
    for ids in windows:
        with torch.no_grad():
            yield log_softmax(model(torch.tensor([ids])).logits[0, :-1].numpy())


def study(path: Path) -> dict[str, Cost]:
    """The figures of each recipe against the model itself, the model's own first."""
    model, _ = load_oracle(path)
    tokenizer = Tokenizer(Gpu(), open_model(path).vocabulary())
    ids = tokenizer.encode(prose(), special=False)
    windows = [ids[i : i + WINDOW] for i in range(0, len(ids) - 1, WINDOW)]
    model.load_state_dict(state_of(path), strict=False)
    floats = [p.astype(np.float32) for p in log_probabilities(model, windows)]
    found = {"the model itself": _compared(floats, floats, windows, path)}
    for name, (kind, own) in RECIPES.items():
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "model.gguf"
            quantize_file(path, made, kind, own=own)
            model.load_state_dict(state_of(made), strict=False)
            found[name] = _compared(log_probabilities(model, windows), floats, windows, made)
        print(_row(name, found[name]), flush=True)
    return found


def _compared(mine: Iterable[np.ndarray], floats: list[np.ndarray], windows: list[list[int]], path: Path) -> Cost:
    tensors = open_model(path).tensors.values()
    bits = 8 * sum(info.nbytes for info in tensors) / sum(math.prod(info.shape) for info in tensors)
    rows = [compare(p, np.asarray(w[1:]), q.astype(np.float64)) for p, q, w in zip(mine, floats, windows, strict=True)]
    return summary(rows, WINDOW, bits)


def _row(name: str, cost: Cost) -> str:
    if not cost.kl or cost.agreement is None:
        return f"| {name} | {cost.bits:.2f} | {cost.perplexity:.3f} | | |"
    return f"| {name} | {cost.bits:.2f} | {cost.perplexity:.3f} | {cost.kl:.5f} | {cost.agreement:.1%} |"


def main() -> None:
    folder, found = Path(__file__).parent, study(default_model())
    (folder / "quality.json").write_text(json.dumps({name: asdict(cost) for name, cost in found.items()}, indent=1) + "\n")
    points = [(name, cost.bits, cost.kl) for name, cost in found.items() if cost.kl]
    (folder / "quality.svg").write_text(scatter(points, "bits a weight", "KL divergence from the model itself, nats a token"))
    print("| | bits a weight | perplexity | KL divergence | same likeliest token |\n|---|---|---|---|---|")
    print("\n".join(_row(name, cost) for name, cost in found.items()))


if __name__ == "__main__":
    main()
