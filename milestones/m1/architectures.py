"""The architectures that are run, by GGUF's names, and what each has beside a Llama's parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """What is not among a model's settings, because all models of the architecture have it."""

    halves: bool = False  # GGUF files of it have Hugging Face's order of Q's and K's rows: RoPE pairs i with i + d/2
    biases: tuple[str, ...] = ()  # projections that add a bias
    qk_norm: bool = False  # queries and keys are normalized, head by head, before they are turned
    unrotated_every: int = 0  # every so many blocks one has no RoPE (NoPE); 0: all have it


ARCHITECTURES = {
    "llama": Architecture(),
    "qwen2": Architecture(halves=True, biases=("attn_q", "attn_k", "attn_v")),
    "qwen3": Architecture(halves=True, qk_norm=True),
    "smollm3": Architecture(unrotated_every=4),
}


def unrotated_blocks(blocks: int, every: int) -> tuple[int, ...]:
    """The numbers of the blocks without RoPE: the last of every `every`; none if that is 0."""
    return tuple(range(every - 1, blocks, every)) if every else ()
