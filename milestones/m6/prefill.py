"""A chunk of a prompt through the model, many tokens at once: the weights are read once for all of them.

The same blocks as the decode step's, in other kernels: a prompt is bound by multiply-adds, a single token by bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from metal.tensor import FLOAT32, Gpu, Tensor
from milestones.m1.get_rows import GetRows
from milestones.m2.model import Scratch
from milestones.m2.rms_norm import RmsNorm
from milestones.m2.swiglu import SwiGlu
from milestones.m4.cache import KvCache
from milestones.m4.kv_store import FLOAT16
from milestones.m5.matvec_q import MatvecQ
from milestones.m5.repack import Packed
from milestones.m6.embed_rows import EmbedRows
from milestones.m6.flash_prefill import FlashPrefill
from milestones.m6.matmul_q import MatmulQ
from milestones.m6.matmul_q_matrix import MatmulQMatrix
from milestones.m6.norm_half import NormHalf
from milestones.m6.rope_store import RopeStore
from milestones.m6.tuning import tuning

if TYPE_CHECKING:
    from milestones.m6.model import Block, FastModel

FEWEST = 4  # tokens; fewer are cheaper one by one
MOST = 512  # tokens at once: more would not read the weights more cheaply, only take more memory


class Prefill:
    """Feeds chunks of tokens to a FastModel, whose weights it shares.

    `activations`, float32 or float16, is what products read: norms' rows and attention's mixture, whose size is bounded. The
    hidden layer's is not, and the residual stream adds up: both stay float32.
    """

    def __init__(self, gpu: Gpu, model: FastModel, turns: Sequence[tuple[Tensor, float]], activations: np.dtype = FLOAT32):
        self._gpu, self._model, self._turns, self._scratch = gpu, model, turns, Scratch(gpu)
        self._embed, self._norm, self._rope_store = EmbedRows(gpu), RmsNorm(gpu), RopeStore(gpu)
        self._kept = activations
        self._norm_rows = NormHalf(gpu) if activations == FLOAT16 else self._norm
        self._matmul = MatmulQMatrix(gpu) if tuning(gpu).matrices else MatmulQ(gpu)
        self._swiglu, self._matvec, self._get_rows = SwiGlu(gpu), MatvecQ(gpu), GetRows(gpu)
        self._attention = FlashPrefill(gpu)

    def __call__(self, ids: Sequence[int], cache: KvCache, start: int, logits: Tensor | None) -> None:
        """Store the keys and values of `ids`, which stand at start, start + 1, …, in every layer of the cache.

        With `logits` (1, vocabulary), those of the token after the last one are written there. Queues its kernels; a long
        chunk is waited for layer by layer.
        """
        c, s, tokens = self._model.config, self._scratch, len(ids)
        x = s("x", tokens, c.width)
        self._embed(self._model.table, ids, x)
        for layer, w in enumerate(self._model.blocks):
            self._block(w, self._turns[layer], x, cache.tensors(layer), start)
            if tokens * (start + tokens) > 1 << 16:
                self._gpu.sync()  # Ctrl-C need not wait for all of a long chunk
        if logits is not None:
            last = self._get_rows(x, self._gpu.tensor([tokens - 1], np.uint32), s("last", 1, c.width))
            row = self._norm(last, self._model.norm, s("normed", 1, c.width), eps=c.eps)
            self._matvec(row.reshape(c.width), self._model.head, logits.reshape(c.vocabulary))

    def _block(self, w: Block, turns: tuple[Tensor, float], x: Tensor, cache: tuple[Tensor, Tensor], start: int) -> None:
        c, s, tokens = self._model.config, self._scratch, x.shape[0]
        wide, narrow = c.heads * c.head_dim, c.kv_heads * c.head_dim
        h = self._norm_rows(x, w.attn_norm, s("h", tokens, c.width, dtype=self._kept), eps=c.eps)
        all_three = Packed(w.qkv.data, w.qkv.kind, (wide + 2 * narrow, c.width))
        qkv = self._matmul(h, all_three, s("qkv", tokens, wide + 2 * narrow))
        q = s("q", tokens, c.heads, c.head_dim)
        mixed = s("mixed", tokens, c.heads, c.head_dim, dtype=self._kept)
        self._turn(w, turns, qkv, q, cache, start)
        self._attention(q, *cache, mixed, position=start)
        self._matmul(mixed.reshape(tokens, wide), w.output, x, add=True)
        h = self._norm_rows(x, w.ffn_norm, h, eps=c.eps)
        gate, up = (self._matmul(h, half, s(n, tokens, c.ffn)) for n, half in (("gate", w.gate), ("up", w.up)))
        self._matmul(self._swiglu(gate, up, gate), w.down, x, add=True)

    def _turn(
        self, w: Block, turns: tuple[Tensor, float], qkv: Tensor, q: Tensor, cache: tuple[Tensor, Tensor], start: int
    ) -> None:
        """A product's queries to q, its keys and values to the cache."""
        c, (table, scale), bias, norms = self._model.config, turns, w.qkv.bias, w.qkv.norms
        self._rope_store(
            qkv, table, q, *cache, position=start, halves=c.rope_halves, bias=bias, norms=norms, eps=c.eps, scale=scale
        )
