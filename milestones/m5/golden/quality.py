"""What each type costs, measured: `python -m milestones.m5.golden.quality` writes quality.json and quality.svg beside it.

The default model's weights lie on Q4_1's grid already, and a grid on a grid misleads: so each weight is first moved at random
within its cell of that grid. Of what comes out, float32, files of each type are made, and of Q8_0 with some tensors in Q4_0;
their predictions of prose.txt's beginning are compared with the moved model's. It prints the README's table. The predictions
are transformers' in float32, of the weights as the `gguf` package reads them: `firstlight perplexity` gives the same figures,
and takes longer.
"""

from __future__ import annotations

import json
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
from milestones.m1.gguf_model import GgufModel
from milestones.m1.model_file import TensorInfo, open_model
from milestones.m1.test_hf_model import their_name
from milestones.m5.gguf_writer import header, nbytes, stored_keys, whole_file
from milestones.m5.perplexity import WINDOW, Cost, bits_a_weight, compare, log_softmax, prose, summary
from milestones.m5.quantize import BYTES
from milestones.m5.quantize_file import quantize_file
from milestones.m7.golden.make import load_oracle
from milestones.speed.chart import scatter

WINDOWS = 5  # of the text; all of it takes more than twice as long
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


def move(source: Path, target: Path) -> None:
    """Write the model with each packed weight moved at random, by up to half a step of its block's, as floats."""
    file, rng = GgufModel(source), np.random.default_rng(0)
    made = [TensorInfo(t.name, t.shape, "F32", nbytes("F32", t.shape)) for t in file.tensors.values()]
    head, _ = header(stored_keys(source), made)
    with whole_file(target, force=True) as out:
        out.write(head)
        for t in GGUFReader(source).tensors:
            values = quants.dequantize(t.data, t.tensor_type)
            if t.tensor_type.name in BYTES:
                blocks = np.ascontiguousarray(t.data.reshape(-1, BYTES[t.tensor_type.name])[:, :2]).view(np.float16)
                step = blocks.astype(np.float32)
                values = values.reshape(-1, 32) + step * rng.uniform(-0.5, 0.5, (len(step), 32)).astype(np.float32)
            out.write(values.astype(np.float32).tobytes())
            out.write(bytes(-out.tell() % 32))


def study(source: Path, folder: Path) -> dict[str, Cost]:
    """The figures of each recipe against the moved model, that model's own and the file's first."""
    path, made = folder / "moved.gguf", folder / "made.gguf"
    move(source, path)
    model, _ = load_oracle(source)
    ids = Tokenizer(Gpu(), open_model(source).vocabulary()).encode(prose(), special=False)
    windows = [ids[i : i + WINDOW] for i in range(0, len(ids) - 1, WINDOW)][:WINDOWS]
    model.load_state_dict(state_of(path), strict=False)
    floats = [p.astype(np.float32) for p in log_probabilities(model, windows)]
    found = {"the moved weights": _compared(floats, floats, windows, path)}
    print(_row("the moved weights", found["the moved weights"]), flush=True)
    for name, (kind, own) in {"the file as it is": ("", ()), **RECIPES}.items():
        if kind:
            quantize_file(path, made, kind, own=own, force=True)
        file = made if kind else source
        model.load_state_dict(state_of(file), strict=False)
        found[name] = _compared(log_probabilities(model, windows), floats, windows, file)
        print(_row(name, found[name]), flush=True)
    return found


def _compared(mine: Iterable[np.ndarray], floats: list[np.ndarray], windows: list[list[int]], path: Path) -> Cost:
    rows = [compare(p, np.asarray(w[1:]), q.astype(np.float64)) for p, q, w in zip(mine, floats, windows, strict=True)]
    return summary(rows, WINDOW, bits_a_weight(open_model(path).tensors.values()))


def _row(name: str, cost: Cost) -> str:
    if cost.kl is None or cost.agreement is None:
        return f"| {name} | {cost.bits:.2f} | {cost.perplexity:.3f} | | |"
    return f"| {name} | {cost.bits:.2f} | {cost.perplexity:.3f} | {cost.kl:.5f} | {cost.agreement:.1%} |"


def main() -> None:
    folder = Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        found = study(default_model(), Path(scratch))
    (folder / "quality.json").write_text(json.dumps({name: asdict(cost) for name, cost in found.items()}, indent=1) + "\n")
    points = [(name, cost.bits, cost.kl) for name, cost in found.items() if name in RECIPES and cost.kl]
    (folder / "quality.svg").write_text(scatter(points, "bits a weight", "KL divergence from the floats, nats a token"))
    print("| | bits a weight | perplexity | KL divergence | same likeliest token |\n|---|---|---|---|---|")
    print("\n".join(_row(name, cost) for name, cost in found.items()))


if __name__ == "__main__":
    main()
