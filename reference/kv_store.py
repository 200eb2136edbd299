"""KV store: the rows of new tokens, written into a cache from a position on; every other row stays as it was.

>>> kv_store(torch.tensor([[9.0]]), torch.tensor([[0.0], [0.0], [0.0]]), position=1).flatten()
tensor([0., 9., 0.])
>>> half = torch.zeros(3, 1, dtype=torch.float16)  # the nearest half, ties to even; never infinite
>>> kv_store(torch.tensor([[1 + 2**-11], [1e6]]), half, position=1).flatten().tolist()
[0.0, 1.0, 65504.0]
"""

import torch


def kv_store(rows: torch.Tensor, cache: torch.Tensor, position: int) -> torch.Tensor:
    """rows (tokens, …), cache (capacity, …) → the cache afterwards (capacity, …), of its dtype. The given one stays."""
    if cache.dtype == torch.float16:
        rows = rows.clamp(-65504, 65504).half()
    return torch.cat([cache[:position], rows, cache[position + len(rows) :]])
