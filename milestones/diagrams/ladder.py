"""The abstraction ladder, from a chat down to the hardware: what each rung is, and what of this repository stands on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from milestones.diagrams import states


@dataclass(frozen=True)
class Rung:
    """One rung. `diagrams` are names of pages, `files` go from the top of the repository."""

    number: int
    name: str
    what: str
    why: str
    milestones: tuple[str, ...]
    diagrams: tuple[str, ...]
    files: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """With the state of its milestones' specs in the last run."""
        return asdict(self) | {"states": [states.of(milestone) for milestone in self.milestones]}


def ladder() -> tuple[Rung, ...]:
    """The rungs, the highest first."""
    return _RUNGS


_RUNGS = (
    Rung(
        7, "Chat",
        "A conversation: turns, put into one text by the model's own template.",
        "It is what people see. Underneath there is only a text that grows.",
        ("m7",), (), ("milestones/m7/chat.py", "milestones/m7/template.py"),
    ),
    Rung(
        6, "Generation loop",
        "Text to tokens, a forward pass, one token chosen, and round again.",
        "A model scores a single next token. The loop makes text of that, and decides which token is taken.",
        ("m0", "m3", "m4", "m7"), ("journey", "tokenizer", "sampling", "cache"),
        ("milestones/m0/bpe.metal", "milestones/m3/sample.metal", "milestones/m7/loop.py"),
    ),
    Rung(
        5, "Model",
        "An embedding, thirty equal blocks, a last norm, and a score for every token there is.",
        "All that was learned is here, in the weights: the code is the same for every text.",
        ("m2",), (), ("milestones/m2/model.py",),
    ),
    Rung(
        4, "Block",
        "Attention mixes tokens, a feed-forward part works on each alone; both add to the residual stream.",
        "It is the unit that repeats. Who knows one block knows the model.",
        ("m2", "m4"), ("attention", "residual", "cache"), ("milestones/m2/attention.metal", "milestones/m4/kv_store.metal"),
    ),
    Rung(
        3, "Tensor ops",
        "Matrix products, norms, rotations, softmax: whole arrays in, whole arrays out.",
        "Each has a formula of one line, so each can be proved against plain PyTorch.",
        ("m2", "m3"), ("rope", "residual", "sampling"),
        ("milestones/m2/matmul.metal", "milestones/m2/rms_norm.metal", "milestones/m2/rope.metal"),
    ),
    Rung(
        2, "Kernels",
        "A tensor op as thousands of threads that know nothing but their number.",
        "Fused and tiled, the same operation is several times as fast: here the speed is made.",
        ("m6",), (), ("milestones/m6/flash_decode.metal", "milestones/m6/gate_up_swiglu.metal"),
    ),
    Rung(
        1, "Memory and numbers",
        "Weights in 4 bits, rows in a cache, bytes in a file.",
        "To write one token every weight is read once: fewer bytes, more tokens a second.",
        ("m1", "m5"), ("quantization",),
        ("milestones/m1/dequantize.metal", "milestones/m1/get_rows.metal", "milestones/m5/quantize.metal"),
    ),
    Rung(
        0, "Hardware",
        "SIMD-groups of 32 lanes, threadgroups that share memory; an Apple GPU, or the portable device that stands in for it.",
        "Its widths and limits are why the kernels look as they do.",
        ("m6",), (), ("metal/README.md",),
    ),
)  # fmt: skip
