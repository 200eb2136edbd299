"""KV store: the rows of new tokens, written into a cache from a position on; every other row stays as it was.

>>> kv_store(torch.tensor([[9.0]]), torch.tensor([[0.0], [0.0], [0.0]]), position=1).flatten()
tensor([0., 9., 0.])
"""

import torch


def kv_store(rows: torch.Tensor, cache: torch.Tensor, position: int) -> torch.Tensor:
    """rows (tokens, …), cache (capacity, …) → the cache afterwards (capacity, …). The given cache is not changed."""
    return torch.cat([cache[:position], rows, cache[position + len(rows) :]])
