"""The KV cache's bookkeeping: which rows are valid, what fits, and one step's store and attention."""

from __future__ import annotations

from metal.tensor import Gpu, Tensor, require
from milestones.errors import UserError
from milestones.m4.decode_attention import DecodeAttention
from milestones.m4.kv_store import KvStore


class KvCache:
    """Keys and values of every token so far, for every layer, float32: two tensors (capacity, kv_heads, head_dim) a layer.

    A step calls `attend` once for each layer, then `advance`. `rows_stored` counts rows written, over all layers.
    """

    def __init__(self, gpu: Gpu, layers: int, kv_heads: int, head_dim: int, capacity: int):
        require(min(layers, kv_heads, head_dim, capacity) > 0, "KvCache: every size must be at least 1")
        self._store, self._attention = KvStore(gpu), DecodeAttention(gpu)
        self._keys = [gpu.empty((capacity, kv_heads, head_dim)) for _ in range(layers)]
        self._values = [gpu.empty((capacity, kv_heads, head_dim)) for _ in range(layers)]
        self.capacity, self.length, self.rows_stored = capacity, 0, 0

    @property
    def nbytes(self) -> int:
        """Bytes of device memory that the cache occupies."""
        return sum(tensor.nbytes for tensor in (*self._keys, *self._values))

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor | None = None) -> Tensor:
        """Store k and v (tokens, kv_heads, d) of this step's tokens, then attend q (tokens, heads, d) over all rows so far.

        The rows stand at length, length + 1, …; `length` itself moves only with `advance`. Raises UserError if they do not
        fit, before anything is written, and ValueError on a misfit.
        """
        tokens = k.shape[0]
        if self.length + tokens > self.capacity:
            raise UserError(
                f"the KV cache is full: it holds {self.capacity} tokens, {self.length} are used, {tokens} more do not fit"
            )
        self._store(k, v, self._keys[layer], self._values[layer], position=self.length)
        self.rows_stored += tokens
        return self._attention(q, self._keys[layer], self._values[layer], out, position=self.length)

    def advance(self, tokens: int) -> None:
        """This step's tokens are stored in every layer: count them."""
        require(
            0 <= tokens <= self.capacity - self.length, f"KvCache: cannot advance {self.length} of {self.capacity} by {tokens}"
        )
        self.length += tokens

    def rewind(self, length: int) -> None:
        """Forget every token from `length` on; their rows are written over by what comes next."""
        require(0 <= length <= self.length, f"KvCache: cannot rewind to {length}, {self.length} tokens are held")
        self.length = length
