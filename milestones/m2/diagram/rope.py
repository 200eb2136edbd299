"""RoPE's diagram: pairs of a query and a key turning with their positions, and scores that know of the distance alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from milestones.diagrams.device import Device
from milestones.diagrams.fields import Field, Text, Whole
from milestones.diagrams.registry import Diagram, Endpoint
from milestones.errors import UserError
from milestones.m2.diagram.parts import sublayers
from milestones.m2.diagram.passes import EXAMPLES, TOKENS, Pass, named, passed, prompt, sizes
from milestones.m2.matmul import Matmul
from milestones.m2.rope import Rope

if TYPE_CHECKING:
    from milestones.diagrams.recorder import Recorder

MOST = 2_000  # bytes of a prompt
FARTHEST = 63  # distance in the picture
LAST = 200  # position of the key in the picture
PLACES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 4_000, 8_000)  # of the key, where the distance is kept


class Turning:
    """A layer's queries and keys before RoPE, and m2's kernels on them."""

    def __init__(self, device: Device, seen: Pass, layer: int):
        run = sublayers(device)
        self._gpu, self.config, self._model, self._layer = device.gpu, run.model.config, run.model, layer
        self._rope: Rope = device.kept("rope", lambda: Rope(device.gpu))
        self._matmul: Matmul = device.kept("matmul", lambda: Matmul(device.gpu))
        norm = run.model.blocks[layer]["attn_norm"]
        q, k, _ = run.heads(layer, run.norm(self._gpu.tensor(seen.stream[layer]), norm, eps=self.config.eps))
        self._gpu.sync()
        self.q, self.k = q.numpy(), k.numpy()  # (tokens, heads, d)

    def at(self, vector: np.ndarray, starts: list[int], length: int = 1) -> np.ndarray:
        """A head's vector (d) turned as at positions start … start + length − 1, for each start: (starts · length, d)."""
        turned = [self._gpu.tensor(np.repeat(vector[None, None], length, axis=0)) for _ in starts]
        for x, start in zip(turned, starts, strict=True):
            self._model.turn(self._layer, x, start)
        self._gpu.sync()
        return np.concatenate([one.numpy()[:, 0] for one in turned])

    def scores(self, q: np.ndarray, k: np.ndarray) -> np.ndarray:
        """q · k / √d of each q (m, d) with each k (n, d): (m, n)."""
        found = self._matmul(self._gpu.tensor(q), self._gpu.tensor(k))
        self._gpu.sync()
        return found.numpy() / np.float32(q.shape[1] ** 0.5)

    def pairs(self, vectors: np.ndarray) -> np.ndarray:
        """(…, d) → (…, d / 2, 2)."""
        d = vectors.shape[-1]
        if self.config.rope_halves:
            return np.stack([vectors[..., : d // 2], vectors[..., d // 2 :]], axis=-1)
        return vectors.reshape(*vectors.shape[:-1], d // 2, 2)

    def radians(self) -> np.ndarray:
        """By how much each pair turns from one position to the next, by the kernel's table; 0 in a block without RoPE."""
        c = self.config
        table = self._rope.table(c.rope_base, c.head_dim, c.rope_factors).numpy()
        if self._layer in c.unrotated:
            return np.zeros(len(table))
        return table.astype(np.float64) * (2 * math.pi / 2**64)


def look(
    device: Device, text: str, layer: int, head: int, query: int, key: int, pair: int, position: int, distance: int
) -> dict[str, Any]:
    """A query and a key of the prompt, the key put at `position` and the query `distance` after it.

    Vectors of the chosen pair before and after the turn; the hands of all pairs at both positions; scores by distance, and
    by position with the distance kept, each with the part that the pair has in it. A query or key past the end of the prompt
    is its last token's: a text that is typed becomes shorter too.
    """
    ids, config = prompt(device, text), device.naive.model.config
    query, key = (min(at, len(ids) - 1) for at in (query, key))
    pairs, group = config.head_dim // 2, config.heads // config.kv_heads
    for what, at, number in (
        ("layers", layer, config.blocks),
        ("heads", head, config.heads),
        ("pairs", pair, pairs),
    ):
        if at >= number:
            raise UserError(f"there are {number} {what}, numbered from 0: there is no number {at}")
    turning = Turning(device, passed(device, ids), layer)
    q, k = turning.q[query, head], turning.k[key, head // group]

    places = [place for place in PLACES if place + distance < config.context]
    far_q, far_k = turning.at(q, [place + distance for place in places]), turning.at(k, places)
    near_q, near_k = turning.at(q, [position], FARTHEST + 1), turning.at(k, [position])
    one = np.zeros(config.head_dim, np.float32)
    one[: pairs if config.rope_halves else None : 1 if config.rope_halves else 2] = 1  # each pair (1, 0)
    trail = turning.pairs(turning.at(q, [0], FARTHEST + 1))[:, pair]

    def part(turned_q: np.ndarray, turned_k: np.ndarray) -> np.ndarray:
        products = turning.pairs(turned_q)[:, pair].astype(np.float64) * turning.pairs(turned_k)[:, pair]
        return products.sum(axis=-1) / config.head_dim**0.5

    by_distance = turning.scores(near_q, near_k)[:, 0]
    return {
        "tokens": named(device, ids),
        "query": query,
        "key": key,
        "blocks": config.blocks,
        "heads": config.heads,
        "pairs": pairs,
        "radians": turning.radians(),
        "hands": {
            "q": turning.pairs(turning.at(one, [position + distance])[0]),
            "k": turning.pairs(turning.at(one, [position])[0]),
        },
        "plain": {"q": turning.pairs(q)[pair], "k": turning.pairs(k)[pair]},
        "turned": {"q": turning.pairs(near_q)[distance, pair], "k": turning.pairs(near_k)[0, pair]},
        "trail": trail,
        "score": float(by_distance[distance]),
        "by_distance": {"score": by_distance, "part": part(near_q, near_k)},
        "by_position": {
            "position": places,
            "score": np.diagonal(turning.scores(far_q, far_k)),
            "part": part(far_q, far_k),
        },
    }


def recording(recorder: Recorder) -> None:
    """Queries and keys of every layer of each example, before they turn, and the angles; rope_recorded.js does the rest."""
    device, made, angles = recorder.device, {}, list[list[float]]()
    c = device.naive.model.config
    for number, (_, text) in enumerate(EXAMPLES):
        with recorder.example(text):
            seen = passed(device, prompt(device, text))
            layers = [Turning(device, seen, layer) for layer in range(c.blocks)]
            q, k = (np.stack([getattr(one, name) for one in layers]) for name in "qk")
            made[text] = {"file": recorder.floats(f"rope-{number}.bin", q, k), "tokens": named(device, seen.ids)}
            angles = [one.radians().tolist() for one in layers]
    recorder.data = {
        "examples": made, "blocks": c.blocks, "heads": c.heads, "kv_heads": c.kv_heads, "d": c.head_dim, "context": c.context,
        "halves": c.rope_halves, "radians": angles, "places": PLACES, "farthest": FARTHEST,
        "scales": [1.0 if layer in c.unrotated else c.rope_scale for layer in range(c.blocks)],
    }  # fmt: skip


_FIELDS: dict[str, Field] = {
    "text": Text(MOST),
    "layer": Whole(0, 1_000),
    "head": Whole(0, 1_000),
    "query": Whole(0, TOKENS - 1),
    "key": Whole(0, TOKENS - 1),
    "pair": Whole(0, 1_000),
    "position": Whole(0, LAST),
    "distance": Whole(0, FARTHEST),
}

DIAGRAM = Diagram(
    name="rope",
    milestone="m2",
    title="RoPE: position as rotation",
    lead="Attention by itself does not know which token came first. So before a query meets a key, both are turned, pair of "
    "numbers by pair, by an angle that grows with their position. What they then have in common depends on their distance.",
    notes=(
        "A head’s vector is taken as pairs of numbers, each an arrow in a plane. At position p, pair i is turned by p times "
        "its own angle: the first pair by 1 radian a position, each following one by less, the last hardly at all.",
        "Turning changes no length, so what counts in q · k is the angle between the two arrows. When both move on by as many "
        "positions, both turn by as much: move the key’s position, and see the score stay as it is.",
        "By distance the score changes: quick pairs make it swing from token to token, slow pairs tell near from far. One "
        "pair’s part is a cosine of the distance, as high as its two arrows’ lengths multiplied, over √d; the score is the sum "
        "of all parts.",
        "The flat line is flat up to rounding, at position 8,000 as at 0: the kernel counts turns in whole numbers, where a "
        "float32 angle would be off by up to 0.002.",
        "Query and key are those of your prompt in this layer and head, before they are turned. Only their positions are made "
        "up here; those that they have in the prompt come first.",
    ),
    files=(
        "milestones/m2/rope.metal",
        "milestones/m2/matmul.metal",
        "milestones/m2/rms_norm.metal",
        "milestones/m2/rope.py",
        "milestones/m2/diagram/passes.py",
    ),
    sources=(
        "Inference Engineering (Kiely), §2.2.3, p. 52",
        "ds4: metal/dsv4_rope.metal",
        "Su et al. 2021 (RoFormer)",
    ),
    endpoints={"sizes": Endpoint({}, sizes), "look": Endpoint(_FIELDS, look)},
    model="naive",
    examples=EXAMPLES,
    recording=recording,
    recorded="Queries and keys before they are turned, of every layer, and the angles are recorded for the examples. Turns and "
    "scores are computed from them in the page, in 64-bit floats: how flat the line by position is, is the page’s own.",
)
