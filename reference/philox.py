"""Philox4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3; 2011), with Python's own whole numbers.

>>> [f"{word:08x}" for word in philox((0, 0, 0, 0), 0)]  # the first of the paper's published vectors
['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
>>> uniform(seed=0, step=0) == (0x6627E8D5 >> 8) / 2**24
True
"""

MASK = 2**32 - 1


def philox(counter: tuple[int, int, int, int], key: int) -> tuple[int, int, int, int]:
    """Four 32-bit words of a counter (four words) under a key of 64 bits."""
    a, b, c, d = counter
    low, high = key & MASK, key >> 32
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (right >> 32) ^ b ^ low, right & MASK, (left >> 32) ^ d ^ high, left & MASK
        low, high = (low + 0x9E3779B9) & MASK, (high + 0xBB67AE85) & MASK
    return a, b, c, d


def uniform(seed: int, step: int) -> float:
    """The number in [0, 1) that draw `step` of `seed` uses: the upper 24 bits of word 0, which float32 holds exactly."""
    return (philox((step & MASK, step >> 32, 0, 0), seed)[0] >> 8) * 2.0**-24
