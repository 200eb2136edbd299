"""What an exported site is given of m2's diagrams: the arrays of the passes, of every example that the model can take."""

from __future__ import annotations

import numpy as np
import pytest

from milestones.diagrams.recorder import Recorder
from milestones.m2.conftest import CONFIG
from milestones.m2.diagram import attention, residual, rope
from milestones.m2.diagram.parts import parts
from milestones.m2.diagram.passes import EXAMPLES, passed
from reference.compare import assert_same

FIRST, LONG = EXAMPLES[0][1], EXAMPLES[2][1]  # of a token each character the last is longer than a diagram takes


def recorded(device, diagram):
    """The recorder, and the arrays of the first example one after the other."""
    recorder = Recorder(device, diagram)
    diagram.recording(recorder)
    file = recorder.files[recorder.data["examples"][FIRST]["file"]]
    return recorder, np.frombuffer(file, "<f4")


@pytest.mark.parametrize("diagram", [attention.DIAGRAM, rope.DIAGRAM, residual.DIAGRAM], ids=lambda one: one.name)
def test_an_example_that_is_too_long_for_the_models_tokenizer_is_left_out_and_said(device, diagram):
    """Another vocabulary may take many more tokens for the same words; the other examples are recorded all the same."""
    recorder, _ = recorded(device, diagram)
    assert recorder.left_out == {LONG: f"the text is {len(LONG)} tokens, this diagram takes 48: shorten it"}
    assert list(recorder.data["examples"]) == [text for _, text in EXAMPLES[:2]]
    assert len([name for name in recorder.files if "weights" not in name]) == 2


def test_attentions_recording_holds_the_arrays_of_the_pass_in_order(device):
    recorder, numbers = recorded(device, attention.DIAGRAM)
    seen = passed(device, device.encode(FIRST))
    assert_same(numbers, np.concatenate([array.ravel() for array in (seen.q, seen.k, seen.v, seen.mixed)]))
    told = recorder.data
    assert (told["blocks"], told["heads"], told["kv_heads"], told["d"]) == (
        CONFIG.blocks,
        CONFIG.heads,
        CONFIG.kv_heads,
        CONFIG.head_dim,
    )
    assert [one["text"] for one in told["examples"][FIRST]["tokens"]] == list(FIRST)


def test_ropes_recording_holds_queries_and_keys_before_they_turn_and_every_layers_angles(device):
    recorder, numbers = recorded(device, rope.DIAGRAM)
    turning = [rope.Turning(device, passed(device, device.encode(FIRST)), layer) for layer in range(CONFIG.blocks)]
    assert_same(numbers, np.concatenate([one.q.ravel() for one in turning] + [one.k.ravel() for one in turning]))
    assert recorder.data["radians"] == [one.radians().tolist() for one in turning] and recorder.data["halves"] is False
    assert recorder.data["scales"] == [1.0] * CONFIG.blocks


def test_the_streams_recording_holds_it_and_what_every_part_adds_with_its_norm_and_without(device):
    recorder, numbers = recorded(device, residual.DIAGRAM)
    seen, tokens, c = passed(device, device.encode(FIRST)), len(FIRST), CONFIG
    stream = [seen.stream.ravel(), parts(device, seen).between.ravel()]
    both = numbers[sum(map(len, stream)) :].reshape(2, len(residual.PARTS), c.blocks, tokens)  # added, then without
    assert_same(numbers[: -both.size], np.concatenate(stream))
    for number, part in enumerate(residual.PARTS):
        told = residual.look(device, FIRST, tokens - 1, 1, part)
        assert both[:, number, 1, -1].tolist() == [np.float32(told["added"]), np.float32(told["without"])]
    weights = np.frombuffer(recorder.files[recorder.data["weights"]], "<f4").reshape(2, c.blocks, c.width)
    assert_same(weights[1, 2], device.naive.model.blocks[2]["ffn_norm"].numpy())
