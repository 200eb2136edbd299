"""Wrong bookkeeping: what a KV cache answers whose `attend`, `advance`, `rewind` or `fork` has a usual mistake in it.

Arguments as in the `run` of `test_cache`: a script as reference/cache.py has it, and the dtype that rows are kept in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from reference.decode_attention import decode_attention


class Books:
    """Rows in arrays, as the device has them, and a count. A mistake overrides one method."""

    def __init__(self, keys: list[np.ndarray], values: list[np.ndarray], length: int = 0):
        self.keys, self.values, self.length, self.stored = keys, values, length, 0

    def attend(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        self.stored += len(k)
        return self._attend(layer, q, k, v, self.length, self.length)

    def _attend(self, layer: int, q: np.ndarray, k: np.ndarray, v: np.ndarray, store: int, ask: int) -> np.ndarray:
        keys, values = self.keys[layer], self.values[layer]
        keys[store : store + len(k)], values[store : store + len(k)] = k, v
        asked, given_keys, given_values = (torch.from_numpy(a).double() for a in (q, keys, values))
        return decode_attention(asked, given_keys, given_values, ask).numpy()

    def advance(self, tokens: int) -> None:
        self.length += tokens

    def rewind(self, length: int) -> None:
        self.length = length

    def fork(self) -> Books:
        keys, values = ([np.full_like(rows, np.nan) for rows in held] for held in (self.keys, self.values))
        made = type(self)(keys, values, self.length)
        for new, old in zip(made.keys + made.values, self.keys + self.values, strict=True):
            new[: self.length] = old[: self.length]
        return made


class StoresAtZero(Books):
    def attend(self, layer, q, k, v):
        self.stored += len(k)
        return self._attend(layer, q, k, v, 0, self.length)


class AsksAtZero(Books):
    def attend(self, layer, q, k, v):
        self.stored += len(k)
        return self._attend(layer, q, k, v, self.length, 0)


class StoresOneLate(Books):
    def attend(self, layer, q, k, v):
        self.stored += len(k)
        return self._attend(layer, q, k, v, self.length + 1, self.length)


class ChangesOver(Books):
    def attend(self, layer, q, k, v):
        return super().attend(layer, q, v, k)


class OneLayer(Books):
    def attend(self, layer, q, k, v):
        return super().attend(0, q, k, v)


class CountsEachLayer(Books):
    def attend(self, layer, q, k, v):
        answer = super().attend(layer, q, k, v)
        super().advance(len(k))
        return answer

    def advance(self, tokens):
        pass


class NeverCounts(Books):
    def advance(self, tokens):
        pass


class CountsSteps(Books):
    def advance(self, tokens):
        self.length += 1


class KeepsAll(Books):
    def rewind(self, length):
        pass


class ForgetsSoMany(Books):
    def rewind(self, length):
        self.length = max(0, self.length - length)


class ForgetsOneMore(Books):
    def rewind(self, length):
        self.length = max(0, length - 1)


class ForgetsAll(Books):
    def rewind(self, length):
        self.length = 0


class SharesMemory(Books):
    def fork(self):
        return type(self)(self.keys, self.values, self.length)


class SharesBooks(Books):
    def fork(self):
        return self


class ForksKeys(Books):
    def fork(self):
        made = super().fork()
        made.values = [rows.copy() for rows in made.keys]
        return made


class ForksTheFirstLayer(Books):
    def fork(self):
        made = super().fork()
        made.keys, made.values = ([held[0].copy() for _ in held] for held in (made.keys, made.values))
        return made


class ForksEmpty(Books):
    def fork(self):
        made = super().fork()
        made.length = 0
        return made


class ForksTheCount(Books):
    def fork(self):
        made = super().fork()
        made.stored = self.stored
        return made


def _replay(made: type[Books], script: list[tuple], dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    (layers, _, _, d), kv_heads = script[0][2].shape, script[0][3].shape[2]
    keys, values = ([np.full((128, kv_heads, d), np.nan) for _ in range(layers)] for _ in "kv")
    caches, answers = [made(keys, values)], []
    for kind, c, *rest in script:
        if kind == "rewind":
            caches[c].rewind(rest[0])
        elif kind == "fork":
            caches.append(caches[c].fork())
        else:
            q, k, v = rest
            answers += [caches[c].attend(i, q[i], k[i].astype(dtype), v[i].astype(dtype)) for i in range(layers)]
            if kind == "append":
                caches[c].advance(k.shape[1])
    return np.concatenate(answers), np.array([[cache.length, cache.stored] for cache in caches])


RIGHT = partial(_replay, Books)
MISTAKES: dict[str, Callable] = {
    "a cache that stores every step at row 0": partial(_replay, StoresAtZero),
    "a cache whose queries stand at position 0: they see the first rows alone": partial(_replay, AsksAtZero),
    "a cache that stores one row too late": partial(_replay, StoresOneLate),
    "a cache that keeps keys and values in each other's place": partial(_replay, ChangesOver),
    "a cache whose layers share one layer's rows": partial(_replay, OneLayer),
    "a cache that counts a step's tokens in every layer, not once": partial(_replay, CountsEachLayer),
    "a cache that never counts its tokens: advance does nothing": partial(_replay, NeverCounts),
    "a cache that counts one token a step, however many there were": partial(_replay, CountsSteps),
    "a cache whose rewind does nothing: forgotten tokens are still seen": partial(_replay, KeepsAll),
    "a cache whose rewind forgets `length` tokens instead of keeping them": partial(_replay, ForgetsSoMany),
    "a cache whose rewind forgets one token too many": partial(_replay, ForgetsOneMore),
    "a cache whose rewind forgets everything": partial(_replay, ForgetsAll),
    "a fork that shares its parent's memory": partial(_replay, SharesMemory),
    "a fork that is its parent": partial(_replay, SharesBooks),
    "a fork with the keys in place of the values": partial(_replay, ForksKeys),
    "a fork with the first layer's rows in every layer": partial(_replay, ForksTheFirstLayer),
    "a fork that begins empty": partial(_replay, ForksEmpty),
    "a fork that begins with its parent's rows_stored": partial(_replay, ForksTheCount),
}
