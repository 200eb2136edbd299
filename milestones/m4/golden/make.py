"""Make m4's golden fixtures: `python -m milestones.m4.golden.make`. A store and attention over a cache by torch's functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def main() -> None:
    import torch

    from reference.golden import save

    rng, position, tokens = np.random.default_rng(41), 29, 3
    q = rng.standard_normal((tokens, 6, 40)).astype(np.float32) * 2
    k, v = (rng.standard_normal((position + tokens, 2, 40)).astype(np.float32) for _ in "kv")
    seen = torch.arange(position + tokens)[None] <= position + torch.arange(tokens)[:, None]
    heads_first = [torch.from_numpy(a).transpose(0, 1)[None] for a in (q, k, v)]
    y = torch.nn.functional.scaled_dot_product_attention(*heads_first, attn_mask=seen, enable_gqa=True)[0].transpose(0, 1)
    arrays = {"q": q, "k": k, "v": v, "position": np.array(position), "y": y.contiguous().numpy()}
    save(
        Path(__file__).parent,
        "decode_attention",
        arrays,
        made_by="torch.nn.functional.scaled_dot_product_attention, float32",
        packages=["torch"],
        command="python -m milestones.m4.golden.make",
    )

    rows, cache = (torch.from_numpy(rng.standard_normal((n, 3, 20)).astype(np.float32)) for n in (4, 11))
    stored = cache.index_copy(0, torch.arange(5, 9), rows)
    arrays = {"rows": rows.numpy(), "cache": cache.numpy(), "position": np.array(5), "stored": stored.numpy()}
    command = "python -m milestones.m4.golden.make"
    save(Path(__file__).parent, "kv_store", arrays, made_by="torch.Tensor.index_copy", packages=["torch"], command=command)


if __name__ == "__main__":
    main()
