"""The whole fast model against the naive one on the same numbers, its recorded step against its dispatches one by one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from metal.health import spec_gpu
from milestones.errors import UserError
from milestones.m1.config import LlamaConfig, implied_tensors
from milestones.m2.model import Model
from milestones.m4.cache import KvCache
from milestones.m6 import tuning
from milestones.m6.model import FastModel, unsupported
from milestones.m6.sampler import FastSampler
from reference.compare import assert_close, assert_same

CONFIG = LlamaConfig(
    blocks=2, width=64, ffn=96, heads=4, kv_heads=2, head_dim=32, rope_base=1e4, eps=1e-5, context=300, vocabulary=75
)
VECTORS = ("norm.weight", ".bias")
QKV = ("attn_q", "attn_k", "attn_v")
IDS = [5, 17, 74, 3, 3, 42, 8, 0, 33]


class Source:
    """Random weights of `kind`, the embedding Q8_0: as packed bytes, and as the floats that `gguf` makes of them."""

    def __init__(self, gpu, config, kind):
        self._gpu, self.config, self._kind = gpu, config, kind
        rng = np.random.default_rng(3)
        self._rows = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in implied_tensors(config)}
        for name in self._rows:  # keep the stream's size about 1
            if not name.endswith(VECTORS):
                self._rows[name] *= np.float32(0.4 if name == "token_embd.weight" else self._rows[name].shape[1] ** -0.5)

    def kind(self, name):
        return "F32" if name.endswith(VECTORS) else "Q8_0" if name == "token_embd.weight" else self._kind

    def _packed(self, name):
        return quants.quantize(self._rows[name], GGMLQuantizationType[self.kind(name)])

    def raw(self, name):
        return self._gpu.tensor(self._packed(name).reshape(-1)), self.kind(name), self._rows[name].shape

    stored = raw

    def tensor(self, name):
        if self.kind(name) == "F32":
            return self._gpu.tensor(self._rows[name])
        return self._gpu.tensor(quants.dequantize(self._packed(name), GGMLQuantizationType[self.kind(name)]))


def cache_of(gpu, config, dtype="float32"):
    return KvCache(gpu, config.blocks, config.kv_heads, config.head_dim, 70, dtype)


def fed(gpu, model, cache, ids, chunks):
    """The logits after each chunk of `ids`."""
    found, start = [], cache.length
    for n in chunks:
        logits = model.forward(ids[:n], cache.attend, start=start)
        cache.advance(n)
        gpu.sync()
        found.append(logits.numpy()[0].copy())
        ids, start = ids[n:], start + n
    return np.array(found)


@pytest.mark.parametrize("halves", [False, True], ids=["neighbours", "halves"])
@pytest.mark.parametrize(
    ("kind", "tied"), [("Q4_1", True), ("Q4_0", True), ("Q8_0", False)], ids=["Q4_1", "Q4_0", "Q8_0-own-head"]
)
def test_gives_the_logits_of_the_naive_model(kind, tied, halves):
    """Token by token, and many at once, then one. Two float32 models of 2 blocks agree to 10⁻⁴."""
    gpu, config = spec_gpu(checks="off"), dataclasses.replace(CONFIG, tied=tied, rope_halves=halves)
    source = Source(gpu, config, kind)
    assert unsupported(source) is None
    model = FastModel(gpu, source)
    wanted = fed(gpu, Model(gpu, source), cache_of(gpu, config), IDS, [1] * len(IDS))
    assert wanted.std() > 0.1, "the expected logits must not be trivial"
    assert_close(fed(gpu, model, cache_of(gpu, config), IDS, [1] * len(IDS)), wanted, 1e-4)
    assert_close(fed(gpu, model, cache_of(gpu, config), IDS, [6, 1, 1, 1]), wanted[5:], 1e-4)


@pytest.mark.parametrize(
    "change",
    [{"rope_factors": tuple(np.linspace(1, 8, 16).tolist())}, {"unrotated": (1,)}, {"rope_scale": 1.5, "unrotated": (1,)}],
    ids=["scaled", "none-in-block-1", "larger"],
)
def test_scaled_or_missing_rope_is_that_of_the_naive_model(change):
    """Llama 3's, SmolLM3's, YaRN's: pairs are slower, or do not turn at all, or come out larger, where they turn."""
    gpu = spec_gpu(checks="off")
    source = Source(gpu, dataclasses.replace(CONFIG, **change), "Q4_1")
    wanted = fed(gpu, Model(gpu, source), cache_of(gpu, CONFIG), IDS, [1] * len(IDS))
    plain = fed(gpu, Model(gpu, Source(gpu, CONFIG, "Q4_1")), cache_of(gpu, CONFIG), IDS, [1] * len(IDS))
    assert np.abs(wanted - plain).max() > 0.1, "it must matter"
    assert unsupported(source) is None
    model = FastModel(gpu, source)
    assert_close(fed(gpu, model, cache_of(gpu, CONFIG), IDS, [1] * len(IDS)), wanted, 1e-4)
    assert_close(fed(gpu, model, cache_of(gpu, CONFIG), IDS, [6, 1, 1, 1]), wanted[5:], 1e-4)


@pytest.mark.parametrize("halves", [True, False], ids=["halves", "neighbours"])
@pytest.mark.parametrize(
    "change",
    [{"biases": QKV}, {"qk_norm": True}, {"qk_norm": True, "biases": ("attn_k",), "head_dim": 64, "unrotated": (1,)}],
    ids=["qwen2", "qwen3", "all"],
)
def test_biases_and_norms_of_heads_are_those_of_the_naive_model(change, halves):
    """Qwen 2's and Qwen 3's: both are in the model's own order, whatever that of the packed rows is."""
    gpu, config = spec_gpu(checks="off"), dataclasses.replace(CONFIG, rope_halves=halves, **change)
    source, plain = Source(gpu, config, "Q4_1"), Source(gpu, config, "Q4_1")
    plain.config = dataclasses.replace(config, biases=(), qk_norm=False)
    wanted = fed(gpu, Model(gpu, source), cache_of(gpu, config), IDS, [1] * len(IDS))
    without = fed(gpu, Model(gpu, plain), cache_of(gpu, config), IDS, [1] * len(IDS))
    assert np.abs(wanted - without).max() > 0.1, "they must matter"
    assert unsupported(source) is None
    model = FastModel(gpu, source)
    assert_close(fed(gpu, model, cache_of(gpu, config), IDS, [1] * len(IDS)), wanted, 1e-4)
    assert_close(fed(gpu, model, cache_of(gpu, config), IDS, [6, 1, 1, 1]), wanted[5:], 1e-4)


def test_a_prompt_through_the_matrix_unit_is_that_of_the_naive_model(monkeypatch):
    """What tuning.py chooses for a GPU, on the device at hand: the same prompt, the same logits."""
    monkeypatch.setattr(tuning, "PORTABLE", dataclasses.replace(tuning.PORTABLE, matrices=True))
    gpu = spec_gpu(checks="off")
    source = Source(gpu, CONFIG, "Q4_1")
    model = FastModel(gpu, source)
    wanted = fed(gpu, Model(gpu, source), cache_of(gpu, CONFIG), IDS, [len(IDS)])
    used, kernel = [], gpu.kernel
    monkeypatch.setattr(
        gpu, "kernel", lambda milestone, file, *more, **options: used.append(file) or kernel(milestone, file, *more, **options)
    )
    assert_close(fed(gpu, model, cache_of(gpu, CONFIG), IDS, [len(IDS)]), wanted, 1e-4)
    assert "matmul_q_matrix" in used and "matmul_q" not in used


@pytest.mark.parametrize("matrices", [False, True], ids=["lanes", "matrices"])
def test_a_prompt_s_products_read_halves_where_asked(monkeypatch, matrices):
    """Norms' rows and attention's mixture as halves, through either kernel of products: near the floats' logits, and not
    those. What is kept as a half is off by 2⁻¹¹; an f16 cache is given the same room. Single tokens go on as ever.
    """
    monkeypatch.setattr(tuning, "PORTABLE", dataclasses.replace(tuning.PORTABLE, matrices=matrices))
    gpu = spec_gpu(checks="off")
    source = Source(gpu, CONFIG, "Q4_1")
    exact = fed(gpu, FastModel(gpu, source), cache_of(gpu, CONFIG), IDS, [len(IDS)])
    model = FastModel(gpu, source, activations="float16")
    used, kernel = set(), gpu.kernel
    monkeypatch.setattr(gpu, "kernel", lambda *names, **options: used.update(names) or kernel(*names, **options))
    found = fed(gpu, model, cache_of(gpu, CONFIG), IDS, [len(IDS)])
    assert_close(found, exact, 0.02)
    assert (found != exact).any(), "halves must make a difference"
    product = "matmul_q_matrix_q4_1" if matrices else "matmul_q4_1"
    assert {"norm_half", "flash_prefill_to_f16", f"{product}_f16", product} <= used  # the way down reads floats
    single = fed(gpu, model, cache_of(gpu, CONFIG), IDS, [1] * len(IDS))
    assert_same(single, fed(gpu, FastModel(gpu, source), cache_of(gpu, CONFIG), IDS, [1] * len(IDS)))


@pytest.mark.parametrize(("largest", "fits"), [(8180.0, True), (8200.0, False), (-8200.0, False), (np.nan, False)])
def test_norms_whose_rows_may_not_fit_halves_are_refused_by_name(largest, fits):
    """√64 · 8188 = 65504: up to there every row fits, whatever the model computes. Floats are not asked."""
    gpu = spec_gpu(checks="off")
    source = Source(gpu, CONFIG, "Q4_1")
    source._rows["blk.1.ffn_norm.weight"][3] = largest
    FastModel(gpu, source)
    if fits:
        FastModel(gpu, source, activations="float16")
        return
    with pytest.raises(
        UserError, match=r"float16 activations hold 65504 at most, and blk.1.ffn_norm.weight makes rows of up to"
    ):
        FastModel(gpu, source, activations="float16")


def test_a_replayed_step_is_the_same_to_the_bit_as_its_dispatches_one_by_one(monkeypatch):
    """The recording changes when kernels run, not what they compute."""
    gpu = spec_gpu(checks="off")
    source = Source(gpu, CONFIG, "Q4_1")
    model = FastModel(gpu, source)
    replayed = fed(gpu, model, cache_of(gpu, CONFIG), IDS, [1] * len(IDS))
    assert_close(replayed, fed(gpu, Model(gpu, source), cache_of(gpu, CONFIG), IDS, [1] * len(IDS)), 1e-4)
    monkeypatch.setattr(type(gpu), "replays", False)
    assert_same(fed(gpu, model, cache_of(gpu, CONFIG), IDS, [1] * len(IDS)), replayed)


def test_the_likeliest_token_is_argmax_of_the_logits_that_are_not_written():
    """Step by step beside `forward` on a cache of its own; what the sampler makes of it is what it makes of the logits."""
    gpu = spec_gpu(checks="off")
    source = Source(gpu, CONFIG, "Q4_1")
    model, sampler, cache, other = FastModel(gpu, source), FastSampler(gpu, 75), cache_of(gpu, CONFIG), cache_of(gpu, CONFIG)
    naive = fed(gpu, Model(gpu, source), cache_of(gpu, CONFIG), IDS, [1] * len(IDS))
    for position, token in enumerate(IDS):
        choice = sampler.choose(model.likeliest([token], cache.attend, start=position), [], 0)
        cache.advance(1)
        logits = fed(gpu, model, other, [token], [1])
        assert_close(logits[0], naive[position], 1e-4)
        assert choice.id == logits.argmax()
        assert choice.logprob == pytest.approx(sampler.choose(gpu.tensor(logits), [], 0).logprob, abs=1e-5)
    assert model.kv_rows == 2 * len(IDS) * CONFIG.blocks
    with pytest.raises(ValueError, match="likeliest: one id at a time, got 2"):
        model.likeliest(IDS[:2], cache.attend, start=len(IDS))


def test_a_likeliest_token_of_logits_that_are_no_numbers_is_refused():
    """A damaged model must not look like text: in the words of the sampler that sees the logits."""
    gpu = spec_gpu(checks="off")
    source = Source(gpu, CONFIG, "Q4_1")
    source._rows["output_norm.weight"][3] = np.nan
    cache = cache_of(gpu, CONFIG)
    with pytest.raises(UserError, match="75 logits of 75 that are NaN or infinite"):
        FastSampler(gpu, 75).choose(FastModel(gpu, source).likeliest([5], cache.attend, start=0), [], 0)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_fork_and_a_rewound_cache_go_on_as_a_fresh_one(dtype):
    """Keys lie 32 rows together: a fork copies whole tiles, and what stands behind the last row is written over."""
    gpu = spec_gpu(checks="off")
    model, ids = FastModel(gpu, Source(gpu, CONFIG, "Q4_1")), (IDS * 5)[:40]
    naive = fed(gpu, Model(gpu, Source(gpu, CONFIG, "Q4_1")), cache_of(gpu, CONFIG, dtype), ids, [1] * 40)
    cache = cache_of(gpu, CONFIG, dtype)
    whole = fed(gpu, model, cache, ids, [1] * 40)
    assert_close(whole, naive, 1e-4 if dtype == "float32" else 0.02)
    cache.rewind(35)
    fork = cache.fork(50)
    assert_same(fed(gpu, model, fork, ids[35:], [1] * 5), whole[35:])
    fed(gpu, model, cache, [9, 9, 9], [1, 1, 1])
    cache.rewind(35)
    assert_same(fed(gpu, model, cache, ids[35:], [1] * 5), whole[35:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 48}, "its width of 48 is no multiple of 32"),
        ({"head_dim": 16, "heads": 8}, "its heads have 16 elements"),
        ({"biases": ("attn_q", "attn_output")}, "its attention's output adds a bias"),
    ],
)
def test_what_it_cannot_run_is_said_in_words(change, message):
    gpu = spec_gpu(checks="off")
    source = Source(gpu, dataclasses.replace(CONFIG, blocks=0), "Q4_1")
    source.config = dataclasses.replace(CONFIG, **change)
    assert message in unsupported(source)


def test_keys_that_the_other_kernels_stored_are_refused():
    """Plain kernels keep the keys row after row, fast ones transposed: neither may read the other's."""
    gpu = spec_gpu(checks="off")
    source = Source(gpu, CONFIG, "Q4_1")
    fast, plain, cache = FastModel(gpu, source), Model(gpu, source), cache_of(gpu, CONFIG)
    fed(gpu, fast, cache, IDS[:2], [1, 1])
    with pytest.raises(ValueError, match="stored by the fast kernels"):
        fed(gpu, plain, cache, IDS[2:3], [1])
    cache.rewind(0)
    fed(gpu, plain, cache, IDS[:2], [1, 1])
    with pytest.raises(ValueError, match="stored by the plain kernels"):
        fed(gpu, fast, cache, IDS[2:3], [1])
