"""The loop over token ids, in a few lines: everything is computed anew for each token, so there is nothing to go stale.

>>> following = lambda ids: sum(ids) % 10  # a model whose next token is the last digit of the sum of all so far
>>> loop(following, [1, 2], limit=4, capacity=64)  # 1 + 2 = 3; + 3 = 6; + 6 = 12; + 2 = 14
[3, 6, 2, 4]
>>> loop(following, [1, 2], limit=4, capacity=3)  # 3 is fed and fills the context; 6 is predicted and has no place
[3, 6]
"""

from collections.abc import Callable, Sequence

import numpy as np


def loop(following: Callable[[list[int]], int], prompt: Sequence[int], limit: int, capacity: int) -> list[int]:
    """Up to `limit` tokens after the prompt; `following(ids)` is the one after all of `ids`. Fewer if the context fills up."""
    ids, chosen = list(prompt), [following(list(prompt))]
    while len(chosen) < limit and len(ids) < capacity:
        ids.append(chosen[-1])
        chosen.append(following(ids))
    return chosen


VOCABULARY = 37


def checksum(tokens: Sequence[tuple[int, int]]) -> int:
    """Of (position, id) pairs, what the toy model of the loop's spec makes of its context: Σ (id · (position + 1) mod 37).

    >>> checksum([(0, 5), (1, 2), (2, 36)])  # 5·1 + 2·2 + 36·3 mod 37 = 34
    43
    """
    return sum(token * (position + 1) % VOCABULARY for position, token in tokens)


def table() -> np.ndarray:
    """The toy model's logits: row `checksum % 37` is what it says, (37, 37) float32, no two alike in a row."""
    return (np.random.default_rng(7).standard_normal((VOCABULARY, VOCABULARY)) * 2).astype(np.float32)
