"""Known mistakes, one op a file: sentence → a wrong reference. A failing spec is compared with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np


def telling(right: Callable, mistakes: dict[str, Callable]) -> dict[str, Callable]:
    """The same mistakes, which raise ValueError on inputs where they give what `right` gives: there they explain nothing."""
    return {sentence: partial(_telling, right, mistake) for sentence, mistake in mistakes.items()}


def _telling(right: Callable, mistake: Callable, *arguments: Any, **options: Any) -> tuple[np.ndarray, ...]:
    made, wanted = mistake(*arguments, **options), right(*arguments, **options)
    if all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(made, wanted, strict=True)):
        raise ValueError("this mistake makes no difference here")
    return made
