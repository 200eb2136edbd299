"""The KV cache as plain lists of rows: a script of steps over several caches, and what each step's queries are answered.

    ("append", c, q, k, v)   new tokens go through every layer of cache c; q, k, v each (layers, tokens, heads of its own, d)
    ("abandon", c, q, k, v)  the same, but interrupted before its tokens are counted: nothing of them is kept
    ("rewind", c, length)    cache c forgets every token from `length` on
    ("fork", c, capacity)    a copy of cache c becomes the newest one, and each goes its own way

>>> one = torch.ones(1, 1, 1, 1)  # with all keys equal, an answer is the mean of the values that the cache holds
>>> script = [("append", 0, one, one, 2 * one), ("append", 0, one, one, 4 * one), ("fork", 0, None)]
>>> script += [("rewind", 0, 1), ("append", 0, one, one, 8 * one), ("append", 1, one, one, 6 * one)]
>>> answers, lengths = replay(script)
>>> [answer.item() for answer in answers], lengths
([2.0, 3.0, 5.0, 4.0], [2, 3])
"""

from collections.abc import Callable
from typing import Any

import torch

from reference.decode_attention import decode_attention


def replay(script: list[tuple], answer: Callable = decode_attention) -> tuple[list[Any], list[int]]:
    """What `answer(q, keys, values, position)` gives for each layer of each step that asks, and each cache's length at the end.

    A cache is a list of (k, v), one a token, each (layers, kv_heads, d); it starts as [[]]: one cache that holds nothing.
    """
    caches: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[]]
    answers = []
    for kind, c, *rest in script:
        if kind == "rewind":
            caches[c] = caches[c][: rest[0]]
        elif kind == "fork":
            caches.append(list(caches[c]))
        else:
            q, k, v = (torch.as_tensor(array) for array in rest)
            rows = caches[c] + [(k[:, t], v[:, t]) for t in range(k.shape[1])]
            keys, values = (torch.stack([row[which] for row in rows], dim=1) for which in (0, 1))
            answers += [answer(q[layer], keys[layer], values[layer], len(caches[c])) for layer in range(len(q))]
            if kind == "append":
                caches[c] = rows
    return answers, [len(rows) for rows in caches]
