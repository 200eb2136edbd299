"""Wrong RMSNorms kept as halves: rms_norm's mistakes, and those of keeping them. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference.mistakes import rms_norm


def _kept(norm: Callable) -> Callable:
    def result(x: np.ndarray, weight: np.ndarray, eps: float = 1e-5) -> np.ndarray:
        with np.errstate(over="ignore"):
            return norm(x, weight, eps).astype(np.float16)

    return result


# too fine for halves to tell
_HIDDEN = ("RMSNorm with squares summed in half precision",)

RIGHT = _kept(rms_norm.RIGHT)
MISTAKES: dict[str, Callable] = {
    "the bits of floats where halves belong: is y a half in the kernel?": lambda x, weight, eps=1e-5: rms_norm.RIGHT(
        x, weight, eps
    ).view(np.float16)[:, : x.shape[1]],
    **{sentence: _kept(norm) for sentence, norm in rms_norm.MISTAKES.items() if sentence not in _HIDDEN},
}
