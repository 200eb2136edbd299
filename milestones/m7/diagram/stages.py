"""The stages of a token's way through the model: which kernels each is, which of their arguments go in and come out.

A stage is the longest row of runs of its kernels, so neighbours share none. What a run reads of the model's weights is found
by itself; only the other tensors are named here.
"""

from __future__ import annotations

from dataclasses import dataclass

from milestones.m1.config import LlamaConfig


@dataclass(frozen=True)
class Ref:
    """A tensor: argument number `argument` of run number `call` of the stage, or of its runs of the kernel `of`.

    `rows`: "all" of it; of a cache those that are "new" in this pass, or those "held" after it."""

    label: str
    call: int
    argument: int
    rows: str = "all"
    of: str = ""


@dataclass(frozen=True)
class Stage:
    """`page`: the diagram that shows it, "" if none does."""

    title: str
    what: str
    page: str
    files: tuple[str, ...]
    ins: tuple[Ref, ...]
    outs: tuple[Ref, ...]


@dataclass(frozen=True)
class Plan:
    """The stages before the blocks, of each block, and after them."""

    before: tuple[Stage, ...]
    block: tuple[Stage, ...]
    after: tuple[Stage, ...]

    def stages(self, config: LlamaConfig, layer: int) -> tuple[Stage, ...]:
        """Those of one block: some models norm Q and K too, some leave out RoPE here and there. The fast kernels have no such
        stages of their own."""
        if self.block[2] is not ROPE:
            return self.block
        turned = () if layer in config.unrotated else (ROPE,)
        return (*self.block[:2], *((QK_NORM,) if config.qk_norm else ()), *turned, *self.block[3:])


NORM_READS = "A levelled copy of the stream: divided by its root mean square, times a learned weight."
X, H = Ref("stream x", 0, 0), Ref("h", 0, 0)
CACHE_NEW = (Ref("K, new rows", 0, 2, "new"), Ref("V, new rows", 0, 3, "new"))
HELD = (Ref("K, all rows", 0, 1, "held"), Ref("V, all rows", 0, 2, "held"))
FINAL = "Final RMSNorm"
PRODUCT = "m2/matmul"
PACKED_PRODUCT = ("m6/matmul_q", "m6/matmul_q_matrix")  # one or the other, as the device wants it

ROPE = Stage(
    "RoPE", "Q and K are turned by angles that grow with the position.", "rope", ("m2/rope",),
    (Ref("Q", 0, 0), Ref("K", 1, 0)), (Ref("Q, turned", 0, 2), Ref("K, turned", 1, 2)),
)  # fmt: skip
QK_NORM = Stage(
    "RMSNorm of Q and K", "Each head of each token by itself, a row a head.", "residual", ("m2/rms_norm",),
    (Ref("Q", 0, 0), Ref("K", 1, 0)), (Ref("Q", 0, 2), Ref("K", 1, 2)),
)  # fmt: skip

SAMPLING = Stage(
    "Sampling", "The likeliest token of all, and how likely the model holds it to be.", "sampling",
    ("m3/nonfinite", "m3/softmax", "m3/argmax", "m3/repeat_penalty", "m3/argsort", "m3/sample", "m6/sample_top",
     "m6/sample_wide"),
    (Ref("logits", 0, 0),), (),
)  # fmt: skip

NAIVE = Plan(
    before=(
        Stage(
            "Embedding rows", "Each id picks its row of the table: the token’s first vector.", "residual", ("m1/get_rows",),
            (Ref("ids", 0, 1),), (Ref("stream x", 0, 2),),
        ),
    ),
    block=(
        Stage("RMSNorm", NORM_READS, "residual", ("m2/rms_norm",), (X,), (Ref("h", 0, 2),)),
        Stage(
            "Q, K and V products", "What each token asks, what it is found by, and what it hands on.", "attention",
            (PRODUCT, "m1/get_rows", "m2/add"), (H,),
            (Ref("Q", 0, 2, of=PRODUCT), Ref("K", 1, 2, of=PRODUCT), Ref("V", 2, 2, of=PRODUCT)),
        ),
        ROPE,
        Stage(
            "KV store", "K and V are kept, so that no later step computes them again.", "cache", ("m4/kv_store",),
            (Ref("K", 0, 0), Ref("V", 0, 1)), CACHE_NEW,
        ),
        Stage(
            "Attention", "Every token looks back at all rows of the cache and mixes their V.", "attention",
            ("m4/decode_attention",), (Ref("Q", 0, 0), *HELD), (Ref("mixed V", 0, 3),),
        ),
        Stage(
            "Output projection and residual", "The mix becomes an addition to the stream.", "residual",
            (PRODUCT, "m1/get_rows", "m2/add"), (Ref("mixed V", 0, 0), Ref("stream x", -1, 0)), (Ref("stream x", -1, 2),),
        ),
        Stage("RMSNorm", NORM_READS, "residual", ("m2/rms_norm",), (X,), (Ref("h", 0, 2),)),
        Stage(
            "Gate and up products", "The feed-forward part: each token for itself, into a wider row.", "residual",
            ("m2/matmul",), (H,), (Ref("gate", 0, 2), Ref("up", 1, 2)),
        ),
        Stage(
            "SwiGLU", "SiLU of the gate decides how much of each element of up goes on.", "residual", ("m2/swiglu",),
            (Ref("gate", 0, 0), Ref("up", 0, 1)), (Ref("hidden", 0, 2),),
        ),
        Stage(
            "Down product and residual", "Back to the stream’s width, and added to it.", "residual",
            ("m2/matmul", "m2/add"), (Ref("hidden", 0, 0), Ref("stream x", 1, 0)), (Ref("stream x", 1, 2),),
        ),
    ),
    after=(
        Stage(FINAL, NORM_READS, "residual", ("m2/rms_norm",), (X,), (Ref("h", 0, 2),)),
        Stage(
            "Head", "The last token’s vector against every token’s row: a score for each, the logits.", "sampling",
            ("m1/get_rows", "m2/matmul"), (H,), (Ref("logits", -1, 2),),
        ),
        SAMPLING,
    ),
)  # fmt: skip

PREFILL = Plan(
    before=(
        Stage(
            "Embedding rows", "Each id picks its row of the packed table, which is unpacked on the way.", "residual",
            ("m6/embed_rows",), (Ref("ids", 0, 1),), (Ref("stream x", 0, 2),),
        ),
    ),
    block=(
        NAIVE.block[0],
        Stage(
            "Q, K and V product", "All three in one product, straight from packed weights.", "attention", PACKED_PRODUCT,
            (H,), (Ref("Q, K, V", 0, 2),),
        ),
        Stage(
            "RoPE and KV store", "Q and K are turned by their positions; K and V go to the cache.", "rope",
            ("m6/rope_store",), (Ref("Q, K, V", 0, 0),), (Ref("Q", 0, 2), Ref("K, new rows", 0, 3, "new"),
            Ref("V, new rows", 0, 4, "new")),
        ),
        Stage(
            "Attention", "Every token looks back, 32 of them at a time; the softmax is kept as it goes.", "attention",
            ("m6/flash_prefill",), (Ref("Q", 0, 0), *HELD), (Ref("mixed V", 0, 3),),
        ),
        Stage(
            "Output projection and residual", "The product is added to the stream where it lies.", "residual",
            PACKED_PRODUCT, (Ref("mixed V", 0, 0),), (Ref("stream x", 0, 2),),
        ),
        NAIVE.block[6],
        Stage(
            "Gate and up products", "The feed-forward part: each token for itself, into a wider row.", "residual",
            PACKED_PRODUCT, (H,), (Ref("gate", 0, 2), Ref("up", 1, 2)),
        ),
        NAIVE.block[8],
        Stage(
            "Down product and residual", "Back to the stream’s width, and added where it lies.", "residual",
            PACKED_PRODUCT, (Ref("hidden", 0, 0),), (Ref("stream x", 0, 2),),
        ),
    ),
    after=(
        Stage(
            FINAL, "Of the last token alone: no other token’s score is asked for.", "residual",
            ("m1/get_rows", "m2/rms_norm"), (X,), (Ref("h", -1, 2),),
        ),
        Stage(
            "Head", "The vector against every token’s row: a score for each, the logits.", "sampling",
            ("m5/prepare", "m5/matvec_q"), (H,), (Ref("logits", -1, -2),),
        ),
        SAMPLING,
    ),
)  # fmt: skip

DECODE = Plan(
    before=(
        Stage(
            "Embedding row and RMSNorm", "The id’s row, and its copy prepared for the first product.", "residual",
            ("m6/embed_token",), (Ref("id, position", 0, 1),), (Ref("stream x", 0, 3), Ref("h, prepared", 0, 4)),
        ),
    ),
    block=(
        Stage(
            "Q, K and V, RoPE and KV store", "Three products, the turn and the store, in one run.",
            "rope", ("m6/qkv_rope_store",), (Ref("h, prepared", 0, 0),),
            (Ref("Q", 0, 4), Ref("K, new row", 0, 5, "new"), Ref("V, new row", 0, 6, "new")),
        ),
        Stage(
            "Attention", "The token looks back at all rows of the cache, in pieces that run side by side.", "attention",
            ("m6/flash_decode",), (Ref("Q", 0, 0), *HELD), (Ref("mixed V, prepared", 0, 5),),
        ),
        Stage(
            "Output projection, residual and RMSNorm", "Adds to the stream, and prepares what the next product reads.",
            "residual", ("m6/project_add",), (Ref("mixed V, prepared", 0, 0),),
            (Ref("stream x", 0, 3), Ref("h, prepared", 0, 4)),
        ),
        Stage(
            "Gate and up products and SwiGLU", "Both products and their join in one run.", "residual",
            ("m6/gate_up_swiglu",), (Ref("h, prepared", 0, 0),), (Ref("hidden, prepared", 0, 2),),
        ),
        Stage(
            "Down product, residual and RMSNorm", "Adds to the stream, and prepares what the next block or the head reads.",
            "residual", ("m6/project_add",), (Ref("hidden, prepared", 0, 0),),
            (Ref("stream x", 0, 3), Ref("h, prepared", 0, 4)),
        ),
    ),
    after=(
        Stage(
            "Head", "The prepared vector against every token’s row: a score for each, the logits.", "sampling",
            ("m6/norm_head",), (Ref("h, prepared", 0, 0),), (Ref("logits", 0, 2),),
        ),
        SAMPLING,
    ),
)  # fmt: skip

TOKENS = Stage("Tokens", "Bytes are merged into pieces of the vocabulary; each has a number.", "tokenizer", ("m0/bpe",), (), ())
TEXT = Stage("Back to text", "The token’s bytes, by the vocabulary’s own table.", "tokenizer", ("m0/detokenize",), (), ())

_ALL = (
    TOKENS,
    *(stage for plan in (NAIVE, PREFILL, DECODE) for part in (plan.before, plan.block, plan.after) for stage in part),
    TEXT,
)
KERNELS = tuple(dict.fromkeys(file for stage in _ALL for file in stage.files))  # every kernel that may run, each once
