"""The forward pass of a Llama-type model, every tensor operation a kernel: embedding → blocks → norm → logits.

`attend` is how a block's queries meet keys and values: m2's own attention over the tokens at hand (no cache), or m4's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from metal.tensor import FLOAT32, Gpu, Tensor, require
from milestones.m1.config import LlamaConfig
from milestones.m1.get_rows import GetRows
from milestones.m2.add import Add
from milestones.m2.attention import Attention
from milestones.m2.matmul import Matmul
from milestones.m2.rms_norm import RmsNorm
from milestones.m2.rope import Rope
from milestones.m2.swiglu import SwiGlu

# (layer, q (tokens, heads, d), k and v (tokens, kv_heads, d), out like q) → out
Attend = Callable[[int, Tensor, Tensor, Tensor, Tensor], Tensor]
# (name of the checkpoint, its tensor): "embedding", "block 0" …, "norm", "logits"
Watch = Callable[[str, np.ndarray], None]
Room = Callable[..., Tensor]  # (name, *shape) → a tensor to write to: a Scratch

QK_NORMS = ("attn_q_norm", "attn_k_norm")
LONG = 256  # tokens; a longer pass is waited for block by block, so that Ctrl-C need not wait for all of it


class WeightSource(Protocol):
    """What the model asks of its weights: m1's `Weights`, or anything that looks like it."""

    config: LlamaConfig

    def tensor(self, name: str) -> Tensor: ...

    def stored(self, name: str) -> tuple[Tensor, str, tuple[int, ...]]: ...


class Forward(Protocol):
    """What the loop asks of a model: this one's, or m6's, which is fast."""

    config: LlamaConfig
    kv_rows: int

    def forward(self, ids: Sequence[int], attend: Attend | None = None, *, start: int = 0) -> Tensor: ...


def require_ids(ids: Sequence[int], vocabulary: int) -> None:
    """Raises ValueError for no ids, or for one that is outside the vocabulary."""
    require(len(ids) > 0, "forward: no token ids were given")
    require(max(ids) < vocabulary and min(ids) >= 0, f"forward: token ids must lie in 0 to {vocabulary - 1}, got {max(ids)}")


class Scratch:
    """The step's intermediate tensors by name, kept between steps of the same size: allocation is not free."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu
        self._held: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int, dtype: np.dtype = FLOAT32) -> Tensor:
        held = self._held.get(name)
        if held is None or held.shape != shape or held.dtype != dtype:
            held = self._held[name] = self._gpu.empty(shape, dtype)
        return held


class Model:
    """A Llama-type model on the device. `kv_rows` counts the key/value rows computed so far, over all layers."""

    def __init__(self, gpu: Gpu, weights: WeightSource, progress: Callable[[int, int], None] | None = None):
        self._gpu, self.config, self.kv_rows = gpu, weights.config, 0
        c = weights.config
        names = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"]
        parts = {name: f"{name}.weight" for name in [*names, *(QK_NORMS if c.qk_norm else ())]}
        parts |= {f"{name}.bias": f"{name}.bias" for name in c.biases}
        self.blocks: list[dict[str, Tensor]] = []
        for layer in range(c.blocks):
            self.blocks.append({name: weights.tensor(f"blk.{layer}.{stored}") for name, stored in parts.items()})
            if progress:
                progress(layer + 1, c.blocks)
        self.norm = weights.tensor("output_norm.weight")
        self.head = weights.tensor("token_embd.weight" if c.tied else "output.weight")
        self._get_rows, self._matmul, self._rms_norm = GetRows(gpu), Matmul(gpu), RmsNorm(gpu)
        self._rope, self._swiglu, self._add = Rope(gpu), SwiGlu(gpu), Add(gpu)
        self._attention = Attention(gpu)
        if c.tied:
            self._embed = partial(self._get_rows, self.head)
        else:  # nothing else needs it as floats: its rows are dequantized as they are looked up
            table, kind, shape = weights.stored("token_embd.weight")
            self._embed = partial(self._get_rows, table, kind=kind, shape=shape)
        self._scratch = Scratch(gpu)
        gpu.kernel("m1", "get_rows", "get_rows_f32")  # for the last row: compiled now, not in the first step's time
        gpu.sync()

    def attend_uncached(self, layer: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> Tensor:
        """Causal attention among the tokens at hand: right only when they are the whole sequence."""
        return self._attention(q, k, v, out)

    def forward(
        self,
        ids: Sequence[int],
        attend: Attend | None = None,
        *,
        start: int = 0,
        watch: Watch | None = None,
        all_rows: bool = False,
    ) -> Tensor:
        """Logits of the token after `ids`, which stand at positions start, start + 1, …

        Returns (1, vocabulary) float32, or (tokens, vocabulary) with `all_rows`. The result is overwritten by the next
        call; nothing is waited for, but in a pass of more than LONG tokens. Raises ValueError for no ids, or for one that is
        outside the vocabulary.
        """
        c, s, tokens = self.config, self._scratch, len(ids)
        require_ids(ids, c.vocabulary)
        attend = attend or self.attend_uncached
        x = self._embed(self._gpu.tensor(np.asarray(ids, np.uint32)), out=s("x", tokens, c.width))
        self._show(watch, "embedding", x)
        for layer, weights in enumerate(self.blocks):
            x = self._block(layer, weights, x, attend, start)
            self._show(watch, f"block {layer}", x)
            if tokens > LONG:
                self._gpu.sync()
        self.kv_rows += tokens * c.blocks
        x = self._rms_norm(x, self.norm, s("norm", tokens, c.width), eps=c.eps)
        self._show(watch, "norm", x)
        if not all_rows and tokens > 1:  # only the last row's logits are needed
            last = self._gpu.tensor([tokens - 1], np.uint32)
            x = self._get_rows(x, last, s("last", 1, c.width))
        logits = self._matmul(x, self.head, s("logits", x.shape[0], c.vocabulary))
        self._show(watch, "logits", logits)
        return logits

    def _block(self, layer: int, w: dict[str, Tensor], x: Tensor, attend: Attend, start: int) -> Tensor:
        c, s, tokens = self.config, self._scratch, x.shape[0]
        h = self._rms_norm(x, w["attn_norm"], s("h", tokens, c.width), eps=c.eps)
        q, k, v = self.heads(w, h, s)
        self.turn(layer, q, start)
        self.turn(layer, k, start)
        mixed = attend(layer, q, k, v, s("mixed", tokens, c.heads, c.head_dim))
        out = self.output(w, mixed, s)
        x = self._add(x, out, x)
        h = self._rms_norm(x, w["ffn_norm"], s("h", tokens, c.width), eps=c.eps)
        gate = self._matmul(h, w["ffn_gate"], s("gate", tokens, c.ffn))
        up = self._matmul(h, w["ffn_up"], s("up", tokens, c.ffn))
        hidden = self._swiglu(gate, up, gate)
        out = self._matmul(hidden, w["ffn_down"], s("out", tokens, c.width))
        return self._add(x, out, x)

    def heads(self, w: Mapping[str, Tensor], h: Tensor, room: Room) -> tuple[Tensor, Tensor, Tensor]:
        """A block's queries (tokens, heads, d), keys and values (tokens, kv_heads, d) of h, its norm's output; not turned."""
        c, tokens = self.config, h.shape[0]
        made = []
        for one, heads in zip("qkv", (c.heads, c.kv_heads, c.kv_heads), strict=True):
            flat = self._project(w, f"attn_{one}", h, room(one, tokens, heads * c.head_dim))
            made.append(flat.reshape(tokens, heads, c.head_dim))
        for normed, name in zip(made, QK_NORMS if c.qk_norm else (), strict=False):
            rows = normed.reshape(normed.size // c.head_dim, c.head_dim)
            self._rms_norm(rows, w[name], rows, eps=c.eps)
        q, k, v = made
        return q, k, v

    def turn(self, layer: int, x: Tensor, start: int) -> None:
        """RoPE on queries or keys, in place, where the block has it."""
        c = self.config
        if layer not in c.unrotated:
            options = {"base": c.rope_base, "scale": c.rope_scale}
            self._rope(x, x, start=start, halves=c.rope_halves, factors=c.rope_factors, **options)

    def output(self, w: Mapping[str, Tensor], mixed: Tensor, room: Room) -> Tensor:
        """What a block's attention adds: its mixed values (tokens, heads, d) → (tokens, width)."""
        tokens, heads, d = mixed.shape
        return self._project(w, "attn_output", mixed.reshape(tokens, heads * d), room("out", tokens, self.config.width))

    def _project(self, w: Mapping[str, Tensor], name: str, x: Tensor, out: Tensor) -> Tensor:
        """x through a projection of the attention, with its bias where it has one: that is added as a row to each token's."""
        self._matmul(x, w[name], out)
        bias = w.get(f"{name}.bias")
        if bias is None:
            return out
        each = self._gpu.tensor(np.zeros(x.shape[0], np.uint32))
        rows = self._get_rows(bias.reshape(1, bias.size), each, self._scratch(f"{name}.bias", *out.shape))
        return self._add(out, rows, out)

    def _show(self, watch: Watch | None, name: str, tensor: Tensor) -> None:
        if watch is not None:
            self._gpu.sync()
            watch(name, tensor.numpy().copy())
