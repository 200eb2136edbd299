"""Make m3's golden fixtures: `python -m milestones.m3.golden.make`. NumPy, torch and transformers' logits processors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

COMMAND = "python -m milestones.m3.golden.make"
FILTERS = [  # temperature, top-k, top-p, min-p; 0, 1 and 0 are off
    *[(1.0, 0, 1.0, 0.0), (0.7, 0, 1.0, 0.0), (1.0, 1, 1.0, 0.0), (1.0, 5, 1.0, 0.0), (1.0, 0, 0.5, 0.0), (1.0, 0, 0.9, 0.0)],
    *[(1.0, 0, 1.0, 0.02), (0.5, 20, 0.8, 0.0), (1.5, 50, 0.95, 0.01), (2.0, 0, 0.3, 0.1), (0.3, 3, 0.99, 0.5)],
]


def processed(logits: np.ndarray, temperature: float, top_k: int, top_p: float, min_p: float) -> np.ndarray:
    """The distribution (rows, n) that transformers would draw from, float32: 0 where a token is cut."""
    import torch
    from transformers.generation import logits_process as library

    chain = [library.TemperatureLogitsWarper(temperature)]
    chain += [library.TopKLogitsWarper(top_k)] if top_k else []
    chain += [library.TopPLogitsWarper(top_p)] if top_p < 1 else []
    chain += [library.MinPLogitsWarper(min_p)] if min_p else []
    scores = torch.from_numpy(logits)
    for step in chain:
        scores = step(None, scores)
    return torch.softmax(scores.double(), dim=-1).float().numpy()


def main() -> None:
    import torch
    from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

    from reference.golden import save

    folder, rng = Path(__file__).parent, np.random.default_rng(31)
    logits = (rng.standard_normal((24, 601)) * 4).round(1).astype(np.float32)
    logits[:, 300] = logits.max(axis=1)  # a tie in every row, or the largest itself
    arrays = {"logits": logits, "ids": np.argmax(logits, axis=1).astype(np.uint32)}
    save(folder, "argmax", arrays, made_by="numpy.argmax", packages=["numpy"], command=COMMAND)

    order = np.argsort(-logits, axis=1, kind="stable").astype(np.uint32)
    arrays = {"logits": logits, "order": order}
    save(folder, "argsort", arrays, made_by="numpy.argsort, stable, of -x", packages=["numpy"], command=COMMAND)

    x = (rng.standard_normal((7, 1009)) * 5).astype(np.float32)
    y = torch.softmax(torch.from_numpy(x).double(), dim=-1).float().numpy()
    save(folder, "softmax", {"x": x, "y": y}, made_by="torch.softmax, float64", packages=["torch"], command=COMMAND)

    x, ids = (rng.standard_normal(400) * 5).astype(np.float32), rng.integers(0, 400, 150)
    y = RepetitionPenaltyLogitsProcessor(1.3)(torch.from_numpy(ids)[None], torch.from_numpy(x)[None])[0].numpy()
    arrays = {"x": x, "ids": ids, "penalty": np.float32(1.3), "y": y}
    library = {"made_by": "transformers' logits processors", "packages": ["transformers", "torch"], "command": COMMAND}
    save(folder, "repeat_penalty", arrays, **library)

    logits = (rng.standard_normal((6, 300)) * 3).astype(np.float32)  # all distinct: no tie can straddle a cutoff
    arrays = {"logits": logits, "settings": np.float64(FILTERS)}
    arrays |= {f"case{number}": processed(logits, *case) for number, case in enumerate(FILTERS)}
    save(folder, "sample", arrays, **library)


if __name__ == "__main__":
    main()
