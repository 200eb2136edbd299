"""Host side of pretokenize.metal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import regex

from metal.tensor import Gpu, Tensor, require

KINDS = {"gpt-2": False, "default": False, "smollm": True}  # m0's names → whether digits are cut out first


class Pretokenize:
    """Cuts texts on the device. See reference/pretokenize.py for the rule, pretokenize.metal for the contract."""

    def __init__(self, gpu: Gpu):
        self._gpu = gpu
        self._kinds, self._pretokenize = gpu.kernel("m6", "pretokenize", "character_kinds"), gpu.kernel("m6", "pretokenize")
        pages, classes = unicode_classes()
        self._pages, self._classes = gpu.tensor(pages), gpu.tensor(classes)

    def __call__(self, texts: Sequence[bytes], *, digits: bool) -> Tensor:
        """1 where a piece begins, uint8 (bytes), for all texts one after the other. Queues two kernels and waits for them.

        Raises ValueError for an empty text, or for 2³² − 1 bytes or more.
        """
        return self.held(np.frombuffer(b"".join(texts), np.uint8), [len(text) for text in texts], digits=digits)[1]

    def held(self, data: np.ndarray, lengths: Sequence[int] | np.ndarray, *, digits: bool) -> tuple[Tensor, Tensor]:
        """(the texts' bytes and 4 to 7 zeros, 1 where a piece begins), for texts of `lengths` in `data`."""
        require(len(lengths) > 0 and min(lengths) > 0, "pretokenize: a text must hold at least one byte")
        size = len(data)
        require(size < 2**32 - 8, f"pretokenize: {size} bytes are too many at once")
        gpu, words = self._gpu, -(-size // 4)
        text, first = (gpu.empty((4 * words + 4,), np.uint8) for _ in range(2))
        text.numpy()[:size], text.numpy()[size:] = data, 0
        first.numpy()[:] = 0
        first.numpy()[np.cumsum([0, *lengths])] = 1
        kinds, starts = gpu.empty(text.shape, np.uint8), gpu.empty((4 * words,), np.uint8)
        args = gpu.constants("II", words, int(digits))
        gpu.run(self._kinds, words + 1, text, first, self._pages, self._classes, kinds, args)
        gpu.run(self._pretokenize, words, text, kinds, starts, args)
        gpu.sync()
        return text, Tensor(starts.buffer, (size,), np.uint8)


@lru_cache(maxsize=1)
def unicode_classes() -> tuple[np.ndarray, np.ndarray]:
    """(pages uint16 (0x1100), classes uint8 (pages, 256)): 1 for letters, 2 for numbers, 3 for white space, 0 for all else.

    As `regex` has them, so that a text is cut alike by it and on the device, whichever Unicode it knows.
    """
    every = np.arange(0x110000, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    classes = np.zeros(0x110000, np.uint8)
    for found in regex.finditer(r"(\p{L}+)|(\p{N}+)|(\s+)", every):
        classes[found.start() : found.end()] = found.lastindex
    held, pages = np.unique(classes.reshape(-1, 256), axis=0, return_inverse=True)
    return pages.reshape(-1).astype(np.uint16), np.ascontiguousarray(held)
