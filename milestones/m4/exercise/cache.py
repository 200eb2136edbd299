"""The KV cache's bookkeeping: which rows are valid, what fits, one step's store and attention, copies that go their own way.

Given: what a cache is made of (`__init__`, `nbytes`), what m6's kernels ask of it (`tensors`, `claim`), the refusal of more
rows than fit (`_require_room`), and `_like` and `_bits`, which `fork` needs. To be written: `attend`, `advance`, `rewind`,
`fork`, in this order. Nothing here computes; the two kernels' host sides do, and they are there already:

    self._store(k, v, cache_k, cache_v, position=p)          rows of k and v → rows p, p + 1, … of the two cache tensors
    self._attention(q, cache_k, cache_v, out, position=p)    the answers of queries that stand at p, p + 1, …; returns `out`

Both only queue their kernel; the device runs kernels in the order in which they were queued, so nothing need be waited for.
A misfit is refused with `require(condition, words)`, which raises ValueError, or with `raise UserError(words)`.

    pytest -x milestones/m4/test_cache.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

from metal.tensor import FLOAT32, Gpu, Tensor, require
from milestones.errors import UserError
from milestones.m4.decode_attention import DecodeAttention
from milestones.m4.kv_store import SUFFIX, KvStore


class KvCache:
    """Keys and values of every token so far, for every layer: two tensors (capacity, kv_heads, head_dim) a layer.

    `dtype` is float32 (exact) or float16 (half the memory; each key and value is off by at most 2⁻¹¹ of itself). A step calls
    `attend` once for each layer, then `advance`. `rows_stored` counts rows written, over all layers.
    """

    def __init__(self, gpu: Gpu, layers: int, kv_heads: int, head_dim: int, capacity: int, dtype: Any = FLOAT32):
        require(min(layers, kv_heads, head_dim, capacity) > 0, "KvCache: every size must be at least 1")
        self.dtype = np.dtype(dtype)
        require(self.dtype in SUFFIX, f"KvCache: dtype must be float32 or float16, got {self.dtype}")
        self._gpu, self._store, self._attention = gpu, KvStore(gpu), DecodeAttention(gpu)
        self._keys, self._values = ([self._rows(capacity, kv_heads, head_dim) for _ in range(layers)] for _ in "kv")
        self._tiled = False  # whether keys are kept 32 rows together, as m6's kernels do
        self.capacity, self.length, self.rows_stored = capacity, 0, 0
        for name in ("kv_store", "decode_attention"):  # compiled now, not in the first step's time
            gpu.kernel("m4", name, name + SUFFIX[self.dtype])

    def _rows(self, capacity: int, kv_heads: int, head_dim: int) -> Tensor:
        """A tensor of so many rows, with room behind them up to a multiple of 32."""
        room = self._gpu.empty((_whole(capacity), kv_heads, head_dim), self.dtype)
        return Tensor(room.buffer, (capacity, kv_heads, head_dim), self.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of device memory that the cache occupies."""
        return sum(tensor.nbytes for tensor in (*self._keys, *self._values))

    def tensors(self, layer: int) -> tuple[Tensor, Tensor]:
        """A layer's keys and values, for kernels that store and attend themselves (m6), after `claim`.

        Such kernels keep the keys transposed, 32 rows together: number j of head g of row r at place
        ((⌊r / 32⌋ · kv_heads + g) · d + j) · 32 + r mod 32. There is room for whole 32s of rows.
        """
        return self._keys[layer], self._values[layer]

    def claim(self, tokens: int) -> None:
        """Such kernels are about to store so many rows in every layer. UserError, as from `attend`, if they do not fit."""
        self._require_room(tokens, tiled=True)
        self.rows_stored += len(self._keys) * tokens

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor | None = None) -> Tensor:
        """Store k and v (tokens, kv_heads, d) of this step's tokens, then attend q (tokens, heads, d) over all rows so far.

        The rows stand at length, length + 1, …; `length` itself moves only with `advance`, `rows_stored` with every store.
        Raises, before anything is written, ValueError if q and k have not as many tokens ("q has 3 tokens, k has 2"), and
        UserError if they do not fit: "the KV cache is full: it holds 24 tokens, 20 are used, 5 more do not fit".
        """
        raise NotImplementedError("your task: store this step's rows, then answer its queries over all rows so far")

    def _require_room(self, tokens: int, *, tiled: bool = False) -> None:
        """So many rows fit, and their keys may be kept so beside those that are there."""
        if self.length + tokens > self.capacity:
            raise UserError(
                f"the KV cache is full: it holds {self.capacity} tokens, {self.length} are used, {tokens} more do not fit"
            )
        require(
            self._tiled == tiled or not self.length,
            "KvCache: its keys were stored by the fast kernels, transposed, and cannot be read by the plain ones"
            if self._tiled
            else "KvCache: its keys were stored by the plain kernels, row by row, and cannot be read by the fast ones",
        )
        self._tiled = tiled

    def advance(self, tokens: int) -> None:
        """This step's tokens are stored in every layer: count them.

        Raises ValueError for fewer than 0 or more than there is room for: "cannot advance 20 of 24 by 5".
        """
        raise NotImplementedError("your task: count this step's tokens")

    def rewind(self, length: int) -> None:
        """Forget every token from `length` on; their rows are written over by what comes next.

        Raises ValueError for fewer than 0 or more than there are: "cannot rewind to 21, 20 tokens are held".
        """
        raise NotImplementedError("your task: forget every token from `length` on")

    def fork(self, capacity: int | None = None) -> KvCache:
        """Another cache that holds the same tokens and goes its own way from here. Queues one kernel a layer.

        Its `capacity` is this one's unless said otherwise; its `dtype` is this one's, its `rows_stored` starts at 0. Only the
        rows of the tokens that are held are copied: into a `self._like(capacity)`, with `self._store` and `self._bits`, which
        shows rows in a form that is stored without rounding. An empty cache has nothing to copy. Raises ValueError for a
        capacity that does not hold the tokens: "a fork of 8 rows cannot hold the 9 tokens there are".
        """
        raise NotImplementedError("your task: another cache with the same tokens")

    # given, for fork
    def _like(self, capacity: int) -> KvCache:
        """A new cache of the same kind, with room for so many rows."""
        heads, head_dim = self._keys[0].shape[1:]
        new = KvCache(self._gpu, len(self._keys), heads, head_dim, capacity, self.dtype)
        new._tiled = self._tiled
        return new

    def _bits(self, tensor: Tensor, rows: int | None = None) -> Tensor:
        """The first `rows` rows of a cache tensor as kv_store moves them bit for bit: two halves in the place of one float."""
        capacity, heads, head_dim = tensor.shape
        rows = _whole(capacity) if rows is None else _whole(rows) if self._tiled else rows
        per_float = FLOAT32.itemsize // self.dtype.itemsize
        require(heads * head_dim % per_float == 0, f"KvCache: rows of {heads * head_dim} halves cannot be copied in pairs")
        return Tensor(tensor.buffer, (rows, 1, heads * head_dim // per_float), FLOAT32)


def _whole(rows: int) -> int:
    """So many rows, rounded up to a multiple of 32."""
    return -(-rows // 32) * 32
