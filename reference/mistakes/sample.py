"""Wrong samplers, by what each does. Every one takes what the spec's `run` takes: p, its order, filters, seed, step and draws.

Filters and draw are mistaken apart: a mistake in the draw shows in the ids alone, one in the filters in all that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from reference.philox import MASK, philox

TINY = np.float32(2.0**-126)
MOST_DRAWS = 5000
Ids = list[int]


def _sums(p: np.ndarray, ids: Sequence[int] | slice = slice(None)) -> np.ndarray:
    """Running sums in float32, one addition after the other."""
    return np.add.accumulate(p[ids], dtype=np.float32)


def _first(mask: np.ndarray, otherwise: int) -> int:
    return int(np.argmax(mask)) if mask.any() else otherwise


def _last_kept(weights: np.ndarray) -> int:
    return int(np.flatnonzero(weights)[-1])


def top_k(p: np.ndarray, left: Ids, k: int) -> Ids:
    return left[: k or len(left)]


def top_p(p: np.ndarray, left: Ids, wanted: float, of: np.float32 | None = None) -> Ids:
    sums = _sums(p, left)
    enough = np.float32(wanted) * (sums[-1] if of is None else of)
    return left[: _first(sums >= enough, len(left)) + 1] if wanted < 1 else left


def min_p(p: np.ndarray, left: Ids, part: float) -> Ids:
    return [i for i in left if p[i] >= np.float32(part) * p.max()]


def _uniform(seed: int, step: int) -> float:
    return (_word(seed, step) >> 8) * 2.0**-24


def _word(seed: int, step: int, number: int = 0) -> int:
    return philox((step & MASK, step >> 32, 0, 0), seed)[number]


def _draw(weights: np.ndarray, u: float, order: Ids) -> int:
    sums = _sums(weights)
    return _first(sums > np.float32(u) * sums[-1], _last_kept(weights))


def _weigh(p: np.ndarray, kept: Ids) -> np.ndarray:
    weights = np.zeros_like(p)
    weights[kept] = np.where(p[kept] < TINY, 0, p[kept])
    return weights


Stage = Callable[[np.ndarray, Ids, float], Ids]


def _with(
    k: Stage = top_k,  # type: ignore[assignment]
    p_: Stage = top_p,
    m: Stage = min_p,
    sequence: str = "kpm",
    weigh: Callable[[np.ndarray, Ids], np.ndarray] = _weigh,
    uniform: Callable[[int, int], float] = _uniform,
    counter: Callable[[int, int], int] = lambda step, i: (step + i) & (2**64 - 1),
    choose: Callable[[np.ndarray, float, Ids], int] = _draw,
    ordered: Callable[[np.ndarray, Ids], Ids] = lambda p, order: order,
    counted: Callable[[list[int]], list[int]] = lambda counts: counts,
) -> Callable:
    """The sampler with one of its parts replaced."""

    def result(
        p: np.ndarray,
        order: np.ndarray | None = None,
        *,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int = 0,
        step: int = 0,
        draws: int = 1,
    ) -> tuple:
        if draws > MOST_DRAWS:
            raise ValueError("so many draws take a mistake too long: a smaller test will tell")
        ranks = np.argsort(-p, kind="stable") if order is None else order
        left, sizes = ordered(p, [int(i) for i in ranks]), {}
        stages = {"k": (k, top_k), "p": (p_, top_p), "m": (m, min_p)}
        with np.errstate(all="ignore"):
            for name in sequence:
                stage, setting = stages[name]
                left = stage(p, left, setting)
                sizes[name] = len(left)
            weights = weigh(p, left)
            ids = [choose(weights, uniform(seed, counter(step, i)), left) for i in range(draws)]
        counts = counted([sizes.get("k", p.size), sizes.get("p", p.size), int(np.count_nonzero(weights))])
        return np.array(ids, np.uint32), weights, np.array(counts, np.uint32)

    return result


def _ties_kept(p: np.ndarray, left: Ids, k: float) -> Ids:
    return [i for i in left if not k or p[i] >= p[left[min(int(k), len(left)) - 1]]]


def _without_the_crossing(p: np.ndarray, left: Ids, wanted: float) -> Ids:
    sums = _sums(p, left)
    return [i for i, s in zip(left, sums, strict=True) if wanted >= 1 or s <= np.float32(wanted) * sums[-1]] or left[:1]


def _one_more_at_equality(p: np.ndarray, left: Ids, wanted: float) -> Ids:
    sums = _sums(p, left)
    return left[: _first(sums > np.float32(wanted) * sums[-1], len(left)) + 1] if wanted < 1 else left


def _at_least(weights: np.ndarray, u: float, order: Ids) -> int:
    sums = _sums(weights)
    return _first(sums >= np.float32(u) * sums[-1], _last_kept(weights))


def _by_rank(weights: np.ndarray, u: float, order: Ids) -> int:
    sums = _sums(weights, order)
    return order[_first(sums > np.float32(u) * sums[-1], len(order) - 1)]


def _place(weights: np.ndarray, u: float, order: Ids) -> int:
    return int(np.flatnonzero(_weigh(weights, order) > 0).tolist().index(_draw(weights, u, order)))


def _unscaled(weights: np.ndarray, u: float, order: Ids) -> int:
    return _first(_sums(weights) > np.float32(u), _last_kept(weights))


def _last_of_all(weights: np.ndarray, u: float, order: Ids) -> int:
    sums = _sums(weights)
    return _first(sums > np.float32(u) * sums[-1], weights.size - 1)


def _renormalised(p: np.ndarray, kept: Ids) -> np.ndarray:
    return _weigh(p, kept) / _weigh(p, kept).sum(dtype=np.float32)


def _in_ranks(p: np.ndarray, kept: Ids) -> np.ndarray:
    return np.concatenate([p[kept], np.zeros(p.size - len(kept), p.dtype)])


def _with_subnormals(p: np.ndarray, kept: Ids) -> np.ndarray:
    weights = np.zeros_like(p)
    weights[kept] = p[kept]
    return weights


RIGHT = _with()

MISTAKES: dict[str, Callable] = {
    "top-k that keeps every token as likely as the k-th": _with(_ties_kept),
    "top-k that keeps one token too many": _with(lambda p, left, k: left[: int(k) + 1 if k else len(left)]),
    "top-k that keeps one token too few": _with(lambda p, left, k: left[: max(int(k) - 1, 1) if k else len(left)]),
    "top-k that keeps the ids below k, not the k likeliest": _with(lambda p, left, k: [i for i in left if not k or i < k]),
    "ties at a cutoff that go to the higher id": _with(ordered=lambda p, order: sorted(order, key=lambda i: (-p[i], -i))),
    "no top-k": _with(lambda p, left, k: left),
    "top-p without the token that crosses p": _with(p_=_without_the_crossing),
    "top-p that takes one more token where the sum equals p": _with(p_=_one_more_at_equality),
    "top-p over the whole vocabulary's sum, not over that of top-k's survivors": _with(
        p_=lambda p, left, wanted: top_p(p, left, wanted, of=_sums(p, [int(i) for i in np.argsort(-p, kind="stable")])[-1])
    ),
    "top-p as a threshold: tokens with probability of at least p": _with(
        p_=lambda p, left, wanted: left if wanted >= 1 else [i for i in left if p[i] >= wanted] or left[:1]
    ),
    "no top-p": _with(p_=lambda p, left, wanted: left),
    "min-p of the least likely survivor, not of the likeliest": _with(
        m=lambda p, left, part: [i for i in left if p[i] >= np.float32(part) * p[left[-1]]]
    ),
    "min-p as a threshold, not as a part of the likeliest": _with(
        m=lambda p, left, part: [i for i in left if p[i] >= part] or left[:1]
    ),
    "min-p that cuts what equals it": _with(m=lambda p, left, part: [i for i in left if p[i] > np.float32(part) * p.max()]),
    "no min-p": _with(m=lambda p, left, part: left),
    "top-p before top-k": _with(sequence="pkm"),
    "min-p before top-k and top-p": _with(sequence="mkp"),
    "min-p before top-p": _with(sequence="kmp"),
    "weights that are renormalised": _with(weigh=_renormalised),
    "weights in the order of their ranks, not of their ids": _with(weigh=_in_ranks),
    "subnormal probabilities kept as weights": _with(weigh=_with_subnormals),
    "a draw of the first sum that reaches u · total (≥), not of the first that exceeds it": _with(choose=_at_least),
    "a draw that walks from the likeliest token, not in ascending ids": _with(choose=_by_rank),
    "a draw's place among the survivors, not its id": _with(choose=_place),
    "a draw against u, not against u · total": _with(choose=_unscaled),
    "the last token of all drawn where rounding lets no sum exceed": _with(choose=_last_of_all),
    "the likeliest token drawn, whatever u": _with(choose=lambda w, u, order: int(np.argmax(w))),
    "u from the lower 24 bits of the word": _with(uniform=lambda seed, step: (_word(seed, step) & 0xFFFFFF) * 2.0**-24),
    "u from word 1": _with(uniform=lambda seed, step: (_word(seed, step, 1) >> 8) * 2.0**-24),
    "u from all 32 bits of the word, which round to 1": _with(uniform=lambda seed, step: _word(seed, step) * 2.0**-32),
    "u from a counter that nothing has mixed: philox.h gives it back as it came": _with(
        uniform=lambda seed, step: ((step & MASK) >> 8) * 2.0**-24
    ),
    "u from the seed as counter and the step as key": _with(uniform=lambda seed, step: _uniform(step, seed)),
    "u with the high word of the seed ignored": _with(uniform=lambda seed, step: _uniform(seed & MASK, step)),
    "u with the high word of the step ignored": _with(counter=lambda step, i: (step + i) & MASK),
    "u without the carry from the step's low word into its high one": _with(
        counter=lambda step, i: (step & ~MASK) | ((step + i) & MASK)
    ),
    "the same u for every draw of a dispatch": _with(counter=lambda step, i: step),
    "u from the number of the draw alone, without the step": _with(counter=lambda step, i: i),
    "u of the step after": _with(counter=lambda step, i: (step + i + 1) & (2**64 - 1)),
    "the third count before min-p": _with(counted=lambda c: [c[0], c[1], c[1]]),
    "the first two counts in each other's place": _with(counted=lambda c: [c[1], c[0], c[2]]),
}
