"""Weights in tiles of 32 rows: of each block of 32 rows first every row's first half, then every row's second, and so on.

A block of a kind is `before` halves (2 bytes), then `words` (4 bytes), then `after` halves. Nothing is changed but the order.

>>> raw = torch.arange(2 * 4, dtype=torch.uint8)  # 2 rows of one block of two halves: 0 1 | 2 3 and 4 5 | 6 7
>>> repack(raw, (2, 1), before=2, words=0, after=0)[0, 0].reshape(2, 32, 2)[:, :2].tolist()
[[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
"""

import torch


def order(rows: int, head: int) -> torch.Tensor:
    """The file's row that stands at each place: with `head`, rows i and i + head/2 of each head side by side."""
    return torch.arange(rows) if head == 0 else torch.arange(rows).reshape(-1, 2, head // 2).transpose(1, 2).flatten()


def repack(raw: torch.Tensor, shape: tuple[int, int], before: int, words: int, after: int, head: int = 0) -> torch.Tensor:
    """raw (bytes) uint8 of shape (rows, blocks) blocks → (tiles, blocks, bytes of 32 blocks) uint8; missing rows are zeros."""
    rows, blocks = shape
    size = 2 * before + 4 * words + 2 * after
    padded = torch.zeros(-(-rows // 32) * 32, blocks, size, dtype=torch.uint8)
    padded[:rows] = raw.reshape(rows, blocks, size)[order(rows, head)]
    tiles = padded.reshape(-1, 32, blocks, size).transpose(1, 2)  # (tiles, blocks, 32, size)
    parts = torch.split(tiles, [2] * before + [4] * words + [2] * after, dim=3)
    return torch.cat([part.flatten(2) for part in parts], dim=2)


def unpack(packed: torch.Tensor, shape: tuple[int, int], before: int, words: int, after: int, head: int = 0) -> torch.Tensor:
    """The inverse: (tiles, blocks, bytes) → the bytes in the file's order."""
    rows, blocks = shape
    parts = torch.split(packed, [64] * before + [128] * words + [64] * after, dim=2)
    tiles = torch.cat([part.reshape(*part.shape[:2], 32, -1) for part in parts], dim=3).transpose(1, 2)
    found = torch.empty(rows, blocks, tiles.shape[3], dtype=torch.uint8)
    found[order(rows, head)] = tiles.flatten(0, 1)[:rows]
    return found.flatten()
