"""Rows of a table by number: out[i] = table[ids[i]], bit for bit. A number that the table lacks gives a row of `POISON`.

>>> get_rows(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([2, 0]))
tensor([[5., 6.],
        [1., 2.]])
>>> get_rows(torch.tensor([[1.0, 2.0]]), torch.tensor([1]))
tensor([[nan, nan]])
"""

import torch

POISON = 0x7FC00BAD  # a quiet NaN; its payload tells it from the NaN that specs put into outputs beforehand


def get_rows(table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """table (n, d) float32, ids (k) whole numbers → (k, d) float32. Integers carry the bits, so that no NaN is changed."""
    padded = torch.cat([table.view(torch.int32), torch.full((1, table.shape[1]), POISON, dtype=torch.int32)])
    inside = (ids >= 0) & (ids < len(table))
    return padded[torch.where(inside, ids, len(table))].view(torch.float32)
