"""Wrong preparations of x. Arguments as its spec's `run`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from reference.prepare import prepare


def _made(values: Callable = lambda asked: asked, total: Callable = lambda x, y: x) -> Callable:
    def result(x, nibbles):
        given = torch.from_numpy(x).double()
        y = prepare(given, values(nibbles))[0]
        return y.numpy(), prepare(total(given, y), False)[1].numpy()

    return result


RIGHT = _made()
MISTAKES: dict[str, Callable] = {
    "x as it came: not multiplied for nibbles": _made(lambda asked: False),
    "x multiplied for nibbles where bytes come: is args.nibbles asked?": _made(lambda asked: True),
    "the sum of the multiplied values, not of x as it came": _made(total=lambda x, y: y),
}
