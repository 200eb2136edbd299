"""RoPE's diagram: what turns is the model's own query and key, by the kernel, and only the distance counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from milestones.errors import UserError
from milestones.m2.conftest import CONFIG
from milestones.m2.diagram import attention
from milestones.m2.diagram import rope as diagram
from milestones.m2.diagram.passes import passed
from milestones.m2.test_rope import expected
from reference.compare import assert_close, assert_same
from reference.rope import rope

TEXT = "Firstlight looks back."
EPSILON = 2.0**-23
D, BASE = CONFIG.head_dim, CONFIG.rope_base
CHOSEN = {"layer": 1, "head": 4, "query": 9, "key": 2, "pair": 1, "position": 3, "distance": 7}


@pytest.fixture(params=[False, True], ids=["neighbours", "halves"])
def device(device, request):
    """With pairs of neighbours and of halves."""
    device.naive.model.config = replace(CONFIG, rope_halves=request.param)
    return device


def in_pairs(device, vectors):
    if device.naive.model.config.rope_halves:
        return np.stack(np.split(vectors, 2, axis=-1), axis=-1)
    return vectors.reshape(*vectors.shape[:-1], -1, 2)


def turned(device, vector, position):
    """The reference in float64, and the error that the kernel's own spec allows."""
    pairs = in_pairs(device, vector)
    y, allowed = expected(np.ascontiguousarray(pairs).reshape(1, 1, -1), position, BASE)
    return y.reshape(pairs.shape), allowed.reshape(pairs.shape)


def score(device, q, k, at_q, at_k):
    """The exact score of each pair, and the error allowed to their sum: of the turns, of d products, and of 1/√d."""
    (y, y_room), (x, x_room) = turned(device, q, at_q), turned(device, k, at_k)
    exact = (y.astype(np.float64) * x).sum(axis=-1) / D**0.5
    size = np.abs(y.astype(np.float64) * x).sum()
    return exact, ((y_room * np.abs(x) + np.abs(y) * x_room).sum() + (D + 4) * EPSILON * size) / D**0.5


def the_vectors(device):
    """The chosen query and key before they are turned: as the model has them, turned back by the reference."""
    seen = passed(device, device.encode(TEXT))
    turning = diagram.Turning(device, seen, CHOSEN["layer"])
    return turning.q[CHOSEN["query"], CHOSEN["head"]], turning.k[CHOSEN["key"], CHOSEN["head"] // 3]


def test_the_queries_and_keys_are_the_models_before_it_turns_them(device):
    """Turned by the reference as the tokens stand in the prompt, they are what attention was given, within the bound."""
    seen, halves = passed(device, device.encode(TEXT)), device.naive.model.config.rope_halves
    for layer in range(CONFIG.blocks):
        turning = diagram.Turning(device, seen, layer)
        for plain, given in ((turning.q, seen.q[layer]), (turning.k, seen.k[layer])):
            want = rope(torch.from_numpy(plain).double(), 0, BASE, halves).numpy().astype(np.float32)
            room = np.abs(in_pairs(device, plain)).sum(axis=-1).max() * 11 * EPSILON
            assert_close(given, want, room)
            assert np.abs(given - plain).max() > 0.1


def test_the_arrows_are_the_references_at_both_positions(device):
    told, (q, k) = diagram.look(device, TEXT, **CHOSEN), the_vectors(device)
    for name, vector, position in (("q", q, 10), ("k", k, 3)):
        want, allowed = turned(device, vector, position)
        assert_same(told["plain"][name], in_pairs(device, vector)[1])
        assert_close(told["turned"][name], want[1], allowed[1])
    for n, point in enumerate(told["trail"]):
        want, allowed = turned(device, q, n)
        assert_close(point, want[1], allowed[1])


def test_each_hand_and_each_angle_is_its_pairs(device):
    """Pair i turns by base^(−2i/d) a position."""
    told = diagram.look(device, TEXT, **CHOSEN)
    angles = BASE ** (-2 * np.arange(D // 2) / D)
    assert_close(told["radians"], angles, 1e-12)
    for name, position in (("q", 10), ("k", 3)):
        want = np.stack([np.cos(position * angles), np.sin(position * angles)], axis=-1)
        assert_close(told["hands"][name], want.astype(np.float32), 11 * EPSILON)


def test_scores_by_distance_and_by_position_are_the_references(device):
    told, (q, k) = diagram.look(device, TEXT, **CHOSEN), the_vectors(device)
    assert len(told["by_distance"]["score"]) == diagram.FARTHEST + 1
    for n, found in enumerate(told["by_distance"]["score"]):
        exact, room = score(device, q, k, 3 + n, 3)
        assert_close(np.float64(found), exact.sum(), room)
        assert_close(told["by_distance"]["part"][n], exact[1], room)
    assert told["score"] == told["by_distance"]["score"][7]
    assert np.ptp(told["by_distance"]["score"]) > 0.1


def test_with_the_distance_kept_the_score_is_the_same_at_every_position(device):
    """The point of it all: the same number, within the bound, from position 0 up to the end of the context."""
    told, (q, k) = diagram.look(device, TEXT, **CHOSEN), the_vectors(device)
    places = told["by_position"]["position"]
    assert places == [0, 1, 2, 5, 10, 20, 50, 100]  # the small model's context ends at 128
    first, _ = score(device, q, k, 7, 0)
    for place, found, part in zip(places, told["by_position"]["score"], told["by_position"]["part"], strict=True):
        _, room = score(device, q, k, place + 7, place)
        assert_close(np.float64(found), first.sum(), room)
        assert_close(part, first[1], room)


def test_where_the_tokens_really_stand_it_is_attentions_score(device):
    told = diagram.look(device, TEXT, **CHOSEN | {"position": 2, "distance": 7})
    q, k = the_vectors(device)
    exact, room = score(device, q, k, 9, 2)
    assert_close(np.float64(told["score"]), exact.sum(), room)
    assert_close(np.float64(attention.look(device, TEXT, 1, 4, 9, True)["score"][2]), exact.sum(), room)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"layer": 3}, "3 layers, numbered from 0: there is no number 3"),
        ({"head": 6}, "6 heads"),
        ({"pair": 4}, "4 pairs"),
    ],
)
def test_what_is_not_there_is_refused_in_words(device, changed, words):
    with pytest.raises(UserError, match=words):
        diagram.look(device, TEXT, **CHOSEN | changed)


def test_of_a_shorter_prompt_the_last_token_is_taken(device):
    told = diagram.look(device, TEXT[:5], **CHOSEN)
    assert (told["query"], told["key"]) == (4, 2)
