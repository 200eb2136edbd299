"""The spec of m5's weights: tensors of every type that the engine runs come to the device as the `gguf` package reads them."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from metal.health import spec_gpu
from milestones.errors import UserError
from milestones.m1.config import LlamaConfig, implied_tensors
from milestones.m1.gguf_model import GgufModel
from milestones.m1.inspect import describe
from milestones.m2.model import Model
from milestones.m5.golden.make import SCALES
from milestones.m5.weights import LOADED, Weights
from reference.compare import assert_same

SIZES = {"blocks": 1, "width": 256, "ffn": 512, "heads": 4, "kv_heads": 2, "head_dim": 64, "context": 128, "vocabulary": 33}
CONFIG = LlamaConfig(**SIZES, rope_base=500.0, eps=2.0**-17, tied=False)
KINDS = ("Q6_K", "F32", "Q4_K", "Q5_K", "Q5_0", "Q5_1", "Q8_0", "Q4_0", "Q4_1")


def bytes_of(kind, shape, rng):
    """A tensor's bytes in rows: random weights, or for the K kinds random bits with scales that give weights of such a size."""
    values = rng.standard_normal(shape, np.float32) * 0.1
    if not kind.endswith("_K"):
        return quants.quantize(values, GGMLQuantizationType[kind])
    block, size = gguf.GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    raw = rng.integers(0, 256, (shape[0], shape[1] // block, size), np.uint8)
    for at in SCALES[kind]:
        raw[..., at : at + 2] = np.float16(rng.uniform(1e-4, 2e-4, (*raw.shape[:2], 1))).view(np.uint8)
    return raw.reshape(shape[0], -1)


def write(path, kinds=KINDS) -> GgufModel:
    """A model of one block whose matrices take `kinds` in turn, the embedding the first, written by the `gguf` package."""
    writer, rng = gguf.GGUFWriter(str(path), "llama"), np.random.default_rng(4)
    writer.add_block_count(CONFIG.blocks)
    writer.add_embedding_length(CONFIG.width)
    writer.add_feed_forward_length(CONFIG.ffn)
    writer.add_head_count(CONFIG.heads)
    writer.add_head_count_kv(CONFIG.kv_heads)
    writer.add_context_length(CONFIG.context)
    writer.add_rope_freq_base(CONFIG.rope_base)
    writer.add_layer_norm_rms_eps(CONFIG.eps)
    writer.add_vocab_size(CONFIG.vocabulary)
    turn = 0
    for name, shape in implied_tensors(CONFIG):
        if len(shape) == 1:
            writer.add_tensor(name, rng.uniform(0.5, 1.5, shape).astype(np.float32))
            continue
        kind, turn = kinds[turn % len(kinds)], turn + 1
        writer.add_tensor(name, bytes_of(kind, shape, rng), raw_dtype=GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufModel(path)


def test_every_type_is_read_as_gguf_reads_it(gpus, tmp_path):
    gpu, file = gpus(256), write(tmp_path / "model.gguf")
    weights = Weights(gpu, file)
    weights.check()
    assert weights.config == CONFIG
    assert {info.type for info in file.tensors.values()} == set(KINDS)
    for t in gguf.GGUFReader(file.path).tensors:
        got = weights.tensor(t.name)
        gpu.sync()
        values = quants.dequantize(t.data, t.tensor_type).reshape(tuple(reversed(t.shape.tolist())))
        assert np.abs(values).max() > 0.05, "the expected output must not be trivial"
        assert_same(got.numpy(), values, what=t.name)


@pytest.mark.parametrize("kind", ["Q6_K", "Q5_1", "Q4_0"])
def test_rows_of_an_embedding_of_any_type_are_looked_up(tmp_path, kind):
    """Two forward passes, one with the embedding in its own type and one with it as floats, see the same rows."""
    gpu, file = spec_gpu(256, checks="off"), write(tmp_path / "model.gguf", (kind, "Q8_0"))
    model = Model(gpu, Weights(gpu, file))
    seen = {}
    model.forward([32, 0, 7], watch=lambda name, array: seen.setdefault(name, array), all_rows=True)
    raw = np.frombuffer(file.raw("token_embd.weight"), np.uint8)
    rows = quants.dequantize(raw, GGMLQuantizationType[kind]).reshape(33, 256)
    assert_same(seen["embedding"], rows[[32, 0, 7]])
    assert np.isfinite(seen["logits"]).all()


def test_inspect_says_that_such_a_file_can_be_run(tmp_path):
    """m1 alone cannot; `firstlight inspect` speaks for the whole engine."""
    file = write(tmp_path / "model.gguf")
    assert "cannot be run" in str(describe(file).renderables[-1])
    assert str(describe(file, LOADED).renderables[-1]).startswith("can be run")


def test_a_type_that_nothing_reads_is_named(gpus, tmp_path):
    file = write(tmp_path / "model.gguf")
    object.__setattr__(file.tensors["blk.0.attn_k.weight"], "type", "IQ4_NL")
    with pytest.raises(UserError, match=r"tensor blk\.0\.attn_k\.weight has type IQ4_NL; only F32, .*, Q6_K are supported"):
        Weights(gpus(256), file).check()
