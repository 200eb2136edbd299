"""Make m3's golden fixture: `python -m milestones.m3.golden.make`. Largest columns by NumPy, ties planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def main() -> None:
    from reference.golden import save

    rng = np.random.default_rng(31)
    logits = (rng.standard_normal((24, 601)) * 4).round(1).astype(np.float32)
    logits[:, 300] = logits.max(axis=1)  # a tie in every row, or the largest itself
    arrays = {"logits": logits, "ids": np.argmax(logits, axis=1).astype(np.uint32)}
    command = "python -m milestones.m3.golden.make"
    save(Path(__file__).parent, "argmax", arrays, made_by="numpy.argmax", packages=["numpy"], command=command)


if __name__ == "__main__":
    main()
