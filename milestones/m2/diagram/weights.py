"""Attention's weights, which its kernel never stores: handed out by the kernel itself, for values that are unit vectors.

With v[s] = e_s the weighted sum of the values is the list of the weights: y[t] = Σ w[s] · e_s = (w[0], w[1], …).
"""

from __future__ import annotations

import numpy as np

from metal.tensor import Gpu
from milestones.m2.attention import Attention


class Weights:
    """All of NumPy arrays, float32: q (queries, heads, d), k and v (tokens, kv_heads, d), as attention is given them. Waits."""

    def __init__(self, gpu: Gpu):
        self._gpu, self._attention = gpu, Attention(gpu)

    def __call__(self, q: np.ndarray, k: np.ndarray, *, masked: bool) -> np.ndarray:
        """How much of each token s is in the output of query t: (heads, t, s). Masked, it is exactly 0 where s > t."""
        (tokens, kv_heads, d), run = k.shape, self.causal if masked else self.everywhere
        parts = []
        for first in range(0, tokens, d):  # as many unit vectors at a time as a value has elements
            unit = np.eye(tokens, d, -first, np.float32)
            parts.append(run(q, k, np.repeat(unit[:, None], kv_heads, axis=1)))
        return np.concatenate(parts, axis=2)[..., :tokens].swapaxes(0, 1)

    def causal(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Attention's output (queries, heads, d): query t sees tokens 0 … t."""
        out = self._attention(*(self._gpu.tensor(array) for array in (q, k, v)))
        self._gpu.sync()
        return out.numpy()

    def everywhere(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The same without the mask, of any number of queries: each sees all tokens.

        They are asked from the last token's place, from where the kernel visits every key: as so many more heads of that one
        token, side by side with those that share their head of k. The outputs of the other places are thrown away.
        """
        queries, heads, d = q.shape
        asked = np.zeros((len(k), heads * queries, d), np.float32)
        asked[-1] = q.swapaxes(0, 1).reshape(heads * queries, d)
        return self.causal(asked, k, v)[-1].reshape(heads, queries, d).swapaxes(0, 1)
