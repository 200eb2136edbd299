"""Make m7's golden fixture with transformers in float32 on the default model file: `python -m milestones.m7.golden.make`.

Greedy continuations of varied prompts: prompt ids, 48 new ids (fewer where end-of-text comes first), and the gap between the
two largest logits at every step. Where the gap is tiny, two right engines may part ways; everywhere else they may not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from milestones.speed.others import fed

PROMPTS = {
    "prose": "The cat sat on the",
    "fact": "The capital of France is",
    "code": "def fibonacci(n):\n    ",
    "chat": "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n",
    "list": "Shopping list:\n1. Milk\n2.",
    "json": '{"name": "Ada", "born": 18',
    "french": "Il était une fois, dans un petit village,",
    "mixed": "数字 12345 and émojis 🙂🙃 look like",
}
NEW_TOKENS = 48


def load_oracle(path: Path):
    """(model, tokenizer) of transformers for a GGUF file, float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def continue_greedily(model, ids: list[int], count: int, end: int) -> tuple[list[int], list[float]]:
    """New ids and the gap between the two largest logits at each step, by transformers' own cached forward pass."""
    import torch
    from transformers import DynamicCache

    new: list[int] = []
    gaps: list[float] = []
    past, feed = DynamicCache(), torch.tensor([ids])
    with torch.no_grad():
        while len(new) < count and (not new or new[-1] != end):
            out = fed(model, feed, past)
            top = out.logits[0, -1].topk(2)
            new.append(int(top.indices[0]))
            gaps.append(float(top.values[0] - top.values[1]))
            feed = torch.tensor([new[-1:]])
    return new, gaps


def main() -> None:
    from milestones.m1.fetch import default_model
    from reference.golden import save

    model, tokenizer = load_oracle(default_model())
    arrays: dict[str, np.ndarray] = {}
    for name, prompt in PROMPTS.items():
        ids = tokenizer(prompt)["input_ids"]
        new, gaps = continue_greedily(model, ids, NEW_TOKENS, tokenizer.eos_token_id)
        arrays[f"{name}_prompt"], arrays[f"{name}_new"] = np.uint32(ids), np.uint32(new)
        arrays[f"{name}_gaps"] = np.float32(gaps)
        print(f"{name}: {len(new)} tokens, smallest gap {min(gaps):.4f}: {tokenizer.decode(new)!r}")
    save(
        Path(__file__).parent,
        "greedy",
        arrays,
        made_by="transformers, float32, on SmolLM2-135M-Instruct.Q4_1.gguf",
        packages=["transformers", "torch", "gguf", "tokenizers"],
        command="python -m milestones.m7.golden.make",
    )


if __name__ == "__main__":
    main()
