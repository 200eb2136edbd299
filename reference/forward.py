"""The forward pass of a Llama-type model, with all that it makes on its way. (Touvron et al., LLaMA, 2023)

    x = table[ids];  in each block:  x += attention(rms_norm(x)) · output;  x += swiglu(rms_norm(x)) · down;  at last
    logits = rms_norm(x) · table

>>> weights = {"token_embd.weight": torch.tensor([[3.0, 4.0], [0.0, 1.0]]), "output_norm.weight": torch.ones(2)}
>>> forward([0], weights, blocks=0, heads=1, kv_heads=1, eps=0.0, base=1e4).logits  # (3, 4) / √12.5 against both rows
tensor([[7.0711, 1.1314]])
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from reference.attention import attention
from reference.matmul import matmul
from reference.rms_norm import rms_norm
from reference.rope import rope
from reference.swiglu import swiglu


@dataclass
class Passed:
    """`stream`: the residual stream (tokens, width) as embedded, then after attention and after the FFN of each block."""

    stream: list[torch.Tensor] = field(default_factory=list)
    keys: list[torch.Tensor] = field(default_factory=list)  # (tokens, kv_heads, d) of each block, turned by RoPE
    values: list[torch.Tensor] = field(default_factory=list)
    logits: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # (tokens, vocabulary)


def forward(
    ids: Sequence[int], weights: Mapping[str, torch.Tensor], *, blocks: int, heads: int, kv_heads: int, eps: float, base: float
) -> Passed:
    """Weights by GGUF's names, float32 or float64; the embedding is the output head too."""
    made, x = Passed(), weights["token_embd.weight"][list(ids)]
    made.stream.append(x)
    for layer in range(blocks):
        w = {name: weights[f"blk.{layer}.{name}.weight"] for name in NAMES}
        h = rms_norm(x, w["attn_norm"], eps)
        q, k, v = (
            matmul(h, w[f"attn_{one}"]).unflatten(1, (n, -1)) for one, n in (("q", heads), ("k", kv_heads), ("v", kv_heads))
        )
        q, k = rope(q, 0, base), rope(k, 0, base)
        x = x + matmul(attention(q, k, v).flatten(1), w["attn_output"])
        made.stream.append(x)
        h = rms_norm(x, w["ffn_norm"], eps)
        x = x + matmul(swiglu(matmul(h, w["ffn_gate"]), matmul(h, w["ffn_up"])), w["ffn_down"])
        made.stream.append(x)
        made.keys.append(k)
        made.values.append(v)
    made.logits = matmul(rms_norm(x, weights["output_norm.weight"], eps), weights["token_embd.weight"])
    return made


NAMES = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")
