"""The forward pass in few dispatches, straight from packed weights: m2's Model, its interface, and the same results within
rounding.

A token is one step: 6 dispatches a block, recorded once for each cache and length of context, and replayed. What changes from
step to step, the token's id and its position, lies in a small tensor that the kernels read.
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from metal.tensor import UINT32, Gpu, Recorded, Tensor, require
from milestones.errors import UserError
from milestones.m1.config import LlamaConfig
from milestones.m2.model import QK_NORMS, Attend, require_ids
from milestones.m2.rope import Rope
from milestones.m4.cache import KvCache
from milestones.m5.matvec_q import KINDS
from milestones.m5.repack import Packed, Repack, packed_size
from milestones.m6.embed_token import EmbedToken
from milestones.m6.flash_decode import LARGEST_HEAD, FlashDecode
from milestones.m6.gate_up_swiglu import GateUpSwiglu
from milestones.m6.greedy_head import GreedyHead
from milestones.m6.norm_head import NormHead
from milestones.m6.prefill import FEWEST, MOST, Prefill
from milestones.m6.prepared import nibbles, room
from milestones.m6.project_add import ProjectAdd
from milestones.m6.qkv_rope_store import Qkv, QkvRopeStore
from milestones.m6.sampling import Chosen

STATE = struct.Struct("<II")  # embed_token.metal: the token's id, its position
LARGEST_HALF = 65504.0
STEPS = 2  # recorded for a cache: a megabyte each on the portable device, and contexts mostly grow


class WeightSource(Protocol):
    """What the model asks of its weights: m1's `Weights`."""

    config: LlamaConfig

    def tensor(self, name: str) -> Tensor: ...

    def raw(self, name: str) -> tuple[Tensor, str, tuple[int, ...]]: ...

    def kind(self, name: str) -> str: ...


@dataclass(frozen=True)
class Block:
    """A block's weights."""

    attn_norm: Tensor
    qkv: Qkv
    output: Packed
    ffn_norm: Tensor
    gate: Packed
    up: Packed
    down: Packed


def unsupported(weights: WeightSource) -> str | None:
    """Why a model cannot run on these kernels; None if it can."""
    c = weights.config
    if not hasattr(KvCache, "claim"):
        return "the cache does not hand out its tensors"
    if "attn_output" in c.biases:
        return "its attention's output adds a bias"
    for what, n in (("width", c.width), ("ffn", c.ffn), ("q", c.heads * c.head_dim), ("k", c.kv_heads * c.head_dim)):
        if n % 32:
            return f"its {what} of {n} is no multiple of 32"
    if c.head_dim % 32 or c.head_dim > LARGEST_HEAD:
        return f"its heads have {c.head_dim} elements, no multiple of 32 up to {LARGEST_HEAD}"
    groups = [["token_embd"], *([[] if c.tied else ["output"]])]
    for layer in range(c.blocks):
        groups += [[f"blk.{layer}.{name}" for name in names] for names in _TOGETHER]
    for group in groups:
        kinds = {weights.kind(f"{name}.weight") for name in group}
        if len(kinds) > 1 or not kinds <= set(KINDS):
            return f"{group[0]} is {' and '.join(sorted(kinds))}"
    return None


Stored = dict[str, tuple[Tensor, str, tuple[int, ...]]]  # raw bytes, kind and shape by name
_TOGETHER = (("attn_q", "attn_k", "attn_v"), ("attn_output",), ("ffn_gate", "ffn_up"), ("ffn_down",))


class FastModel:
    """A Llama-type model on the device. `kv_rows` counts the key/value rows computed so far, over all layers."""

    def __init__(
        self,
        gpu: Gpu,
        weights: WeightSource,
        progress: Callable[[int, int], None] | None = None,
        *,
        activations: str = "float32",
    ):
        require(activations in ("float32", "float16"), f"activations must be float32 or float16, got {activations!r}")
        self._gpu, self.config, self.kv_rows = gpu, weights.config, 0
        c, self._weights, self._repack = weights.config, weights, Repack(gpu)
        self.blocks: list[Block] = []
        names = [f"blk.{layer}." for layer in range(c.blocks)]
        stored = self._stored(names[0])
        for done, name in enumerate(names, 1):
            self.blocks.append(self._block(name, stored))
            stored = self._stored(names[done]) if done < c.blocks else {}  # copied while the device repacks
            gpu.sync()  # the file's bytes of this block are no longer needed
            if progress:
                progress(done, c.blocks)
        if activations == "float16":
            self._norms_fit_halves()
        self.norm = weights.tensor("output_norm.weight")
        self.table = self._packed("token_embd.weight")
        self.head = self.table if c.tied else self._packed("output.weight")
        gpu.sync()
        del self._weights, self._repack
        self._embed, self._qkv, self._flash = EmbedToken(gpu), QkvRopeStore(gpu), FlashDecode(gpu)
        self._project, self._hidden = ProjectAdd(gpu), GateUpSwiglu(gpu)
        turns, none = Rope(gpu).table(c.rope_base, c.head_dim, c.rope_factors), gpu.tensor(np.zeros(c.head_dim // 2, np.uint64))
        unrotated = [layer in c.unrotated for layer in range(c.blocks)]  # by 0 turns and times 1, nothing is changed
        self._turns = [(none, 1.0) if plain else (turns, c.rope_scale) for plain in unrotated]
        self._prefill = Prefill(gpu, self, self._turns, np.dtype(activations))
        self._state = gpu.tensor(np.zeros(2, np.uint32))
        self._x, self._q = gpu.empty((c.width,)), gpu.empty((c.heads, c.head_dim))
        sizes = {"prepared": c.width, "mixed": c.heads * c.head_dim, "hidden": c.ffn}
        self._room = {name: room(gpu, n) for name, n in sizes.items()}
        self._out, self._chosen = gpu.empty((1, c.vocabulary)), Chosen(gpu, 0)
        self._steps: weakref.WeakKeyDictionary[KvCache, dict[int, Recorded]] = weakref.WeakKeyDictionary()

    def _norms_fit_halves(self) -> None:
        """A norm's row is at most √n times its largest weight. Raises UserError where that is no half."""
        self._gpu.sync()
        for layer, block in enumerate(self.blocks):
            for name, norm in (("attn_norm", block.attn_norm), ("ffn_norm", block.ffn_norm)):
                most = float(np.abs(norm.numpy()).max()) * self.config.width**0.5
                if not most <= LARGEST_HALF:  # nor a NaN
                    raise UserError(
                        f"float16 activations hold 65504 at most, and blk.{layer}.{name}.weight makes rows of up to {most:g}: "
                        "leave --activation-type at f32"
                    )

    def _packed(self, name: str) -> Packed:
        made = self._repack(*self._weights.raw(name))
        self._gpu.sync()  # the file's bytes are no longer needed
        return made

    def _stored(self, name: str) -> Stored:
        """What the file holds of a block's matrices."""
        return {n: self._weights.raw(f"{name}{n}.weight") for group in _TOGETHER for n in group}

    def _block(self, name: str, stored: Stored) -> Block:
        c, w = self.config, self._weights
        kind, data = self._together([stored[n] for n in _TOGETHER[0]])
        first = 0
        for n in _TOGETHER[0]:
            head = c.head_dim if c.rope_halves and n != "attn_v" else 0
            first += self._repack(*stored[n], data, first=first, head=head).tiles
        qkv = Qkv(data, kind, c.width, c.heads, c.kv_heads, c.head_dim, *self._beside(name))
        _, data = self._together([stored[n] for n in _TOGETHER[2]])
        gate, up = (self._repack(*stored[n], data, first=i, step=2) for i, n in enumerate(_TOGETHER[2]))
        output, down = (self._repack(*stored[n]) for n in ("attn_output", "ffn_down"))
        attn_norm, ffn_norm = (w.tensor(f"{name}{n}.weight") for n in ("attn_norm", "ffn_norm"))
        return Block(attn_norm, qkv, output, ffn_norm, gate, up, down)

    def _beside(self, name: str) -> tuple[Tensor | None, Tensor | None]:
        """A block's biases of q, k and v, 0 where one has none, and its norms of q's and k's heads: None where it has none."""
        c, rows = self.config, {"attn_q": self.config.heads, "attn_k": self.config.kv_heads, "attn_v": self.config.kv_heads}
        norms = [self._weights.tensor(f"{name}{n}.weight") for n in QK_NORMS if c.qk_norm]
        biases = {n: self._weights.tensor(f"{name}{n}.bias") for n in rows if n in c.biases}
        self._gpu.sync()
        found = [biases[n].numpy() if n in biases else np.zeros(heads * c.head_dim, np.float32) for n, heads in rows.items()]
        return (
            self._gpu.tensor(np.concatenate(found)) if biases else None,
            self._gpu.tensor(np.stack([norm.numpy() for norm in norms])) if norms else None,
        )

    def _together(self, parts: list[tuple[Tensor, str, tuple[int, ...]]]) -> tuple[str, Tensor]:
        """The kind of several weights, and room for the tiles of all of them."""
        kind = parts[0][1]
        return kind, self._gpu.empty((sum(packed_size(kind, shape) for _, _, shape in parts),), UINT32)

    def forward(self, ids: Sequence[int], attend: Attend | None = None, *, start: int = 0) -> Tensor:
        """Logits (1, vocabulary) of the token after `ids`, which stand at positions start, start + 1, …

        `attend` is a KvCache's own (`cache.attend`): the kernels store to and read from that cache's tensors. Without one the
        ids are the whole sequence. The result is overwritten by the next call; the last step is not waited for. Raises
        ValueError for no ids, or for one that is outside the vocabulary, and UserError if the cache is full.
        """
        cache, tokens = self._claimed(ids, attend), len(ids)
        fed = 0 if tokens < FEWEST else tokens
        for first in range(0, fed, MOST):
            chunk = ids[first : first + MOST]
            self._prefill(chunk, cache, start + first, self._out if first + len(chunk) == tokens else None)
        for i, token in enumerate(ids[fed:]):
            self._decode(token, cache, start + i)
        if not fed:
            self._head.replay()
        self.kv_rows += tokens * self.config.blocks
        return self._out

    def likeliest(self, ids: Sequence[int], attend: Attend, *, start: int) -> Chosen:
        """What argmax makes of `forward` of one id: the same id, and no logits are written. Otherwise as `forward`."""
        require(len(ids) == 1, f"likeliest: one id at a time, got {len(ids)}")
        self._decode(ids[0], self._claimed(ids, attend), start)
        self._best.replay()
        self.kv_rows += self.config.blocks
        return self._chosen

    def _claimed(self, ids: Sequence[int], attend: Attend | None) -> KvCache:
        """The cache, with room for these ids."""
        c = self.config
        require_ids(ids, c.vocabulary)
        if attend is None:
            cache = KvCache(self._gpu, c.blocks, c.kv_heads, c.head_dim, len(ids))
        else:
            cache = attend.__self__  # type: ignore[attr-defined]
        cache.claim(len(ids))
        return cache

    def _decode(self, token: int, cache: KvCache, position: int) -> None:
        """One token through all blocks."""
        step = self._recorded(cache, position)
        self._gpu.sync()  # the state is read by the step before
        STATE.pack_into(self._state.buffer, 0, token, position)  # not through NumPy: the device waits meanwhile
        step.replay()

    def _recorded(self, cache: KvCache, position: int) -> Recorded:
        """The step for this cache, with as many pieces of attention as the position needs, or up to twice as many."""
        pieces = 1 << (position // self._flash.piece).bit_length()
        held = self._steps.setdefault(cache, {})
        if pieces not in held:
            tensors = [cache.tensors(layer) for layer in range(self.config.blocks)]
            parts = self._flash.room(self.config.heads, self.config.head_dim, pieces)
            if len(held) == STEPS:
                del held[next(iter(held))]
            held[pieces] = self._gpu.record(lambda: self._step(tensors, parts))
        return held[pieces]

    @cached_property
    def _head(self) -> Recorded:
        logits, x = NormHead(self._gpu), self._room["prepared"]
        return self._gpu.record(lambda: logits(x, self.head, self._out, eps=self.config.eps))

    @cached_property
    def _best(self) -> Recorded:
        greedy, x = GreedyHead(self._gpu), self._room["prepared"]
        parts = greedy.room(self.head)
        return self._gpu.record(lambda: greedy(x, self.head, parts, self._chosen, eps=self.config.eps))

    def _step(self, cache: list[tuple[Tensor, Tensor]], parts: Tensor) -> None:
        c, x, state, prepared, mixed = self.config, self._x, self._state, self._room["prepared"], self._room["mixed"]
        hidden = self._room["hidden"]
        self._embed(self.table, state, self.blocks[0].attn_norm, x, prepared, nibbles=nibbles(self.blocks[0].qkv.kind))
        for layer, w in enumerate(self.blocks):
            turns, scale = self._turns[layer]
            self._qkv(prepared, w.qkv, turns, state, self._q, *cache[layer], eps=c.eps, halves=c.rope_halves, scale=scale)
            self._flash(self._q, *cache[layer], state, parts, mixed, nibbles=nibbles(w.output.kind))
            self._project(mixed, w.output, w.ffn_norm, x, prepared, nibbles=nibbles(w.gate.kind))
            self._hidden(prepared, w.gate, w.up, hidden, eps=c.eps, nibbles=nibbles(w.down.kind))
            last = layer + 1 == c.blocks
            norm = self.norm if last else self.blocks[layer + 1].attn_norm
            kind = self.head.kind if last else self.blocks[layer + 1].qkv.kind
            self._project(hidden, w.down, norm, x, prepared, nibbles=nibbles(kind))
