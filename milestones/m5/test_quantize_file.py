"""The spec of `quantize_file`: what stands in the file, that it runs, and that nothing half-done is ever left behind."""

from __future__ import annotations

import json
import os

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from metal.health import spec_gpu
from metal.tensor import Gpu
from milestones.errors import UserError
from milestones.m0.tokenizer import Tokenizer as OurTokenizer
from milestones.m1 import test_hf_model
from milestones.m1.hf_model import HfModel
from milestones.m1.model_file import open_model
from milestones.m1.test_hf_model import their_name
from milestones.m2.model import Model
from milestones.m5.gguf_writer import encoded, stored_keys, whole_file
from milestones.m5.hf_keys import keys_of
from milestones.m5.quantize_file import FILE_TYPES, Packer, quantize_file
from milestones.m5.weights import Weights
from reference.compare import assert_same
from tests.tiny import interleaved, random_model, write_gguf

KINDS = sorted(FILE_TYPES)
SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16}
IDS = [3, 130, 7, 7, 64, 0, 99]


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    """A tiny model with its embedding as the head, and its GGUF file of floats."""
    model = random_model(3, **SIZES)
    return model, write_gguf(model, tmp_path_factory.mktemp("tied") / "floats.gguf")


def tensors(path):
    """name → (type, bytes), as the `gguf` package reads them."""
    return {t.name: (t.tensor_type.name, np.array(t.data)) for t in gguf.GGUFReader(path).tensors}


def kind_of(name, kind, tied=True):
    if name.endswith("_norm.weight"):
        return "F32"
    return "Q8_0" if name == ("token_embd.weight" if tied else "output.weight") else kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_is_what_gguf_makes_of_it(tied, tmp_path, kind):
    """Norms keep their floats, the head is Q8_0, all else is of the type asked for; the bytes are the gguf package's."""
    made = quantize_file(tied[1], tmp_path / "out.gguf", kind)
    found, floats = tensors(tmp_path / "out.gguf"), tensors(tied[1])
    assert list(found) == list(floats) and made.nbytes == (tmp_path / "out.gguf").stat().st_size
    for name, (got, data) in found.items():
        assert got == kind_of(name, kind)
        assert_same(data, quants.quantize(floats[name][1], GGMLQuantizationType[got]), what=name)
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    assert reader.fields["general.file_type"].contents() == FILE_TYPES[kind]
    assert reader.fields["general.quantization_version"].contents() == 2


@pytest.mark.parametrize("own_head", [False, True], ids=["tied-head", "own-head"])
@pytest.mark.parametrize("kind", ["Q4_0", "Q5_1"])
def test_the_model_computes_what_its_dequantized_weights_compute_in_transformers(tmp_path, kind, own_head):
    """The whole way round: floats to blocks to a file, and what the engine makes of it equals an engine nobody here wrote."""
    model = random_model(5, tied=not own_head, **SIZES)
    quantize_file(write_gguf(model, tmp_path / "floats.gguf"), tmp_path / "out.gguf", kind)
    state = model.state_dict()
    for name, (own, data) in tensors(tmp_path / "out.gguf").items():
        assert own == kind_of(name, kind, not own_head)
        theirs = state[their_name(name)]
        values = quants.dequantize(data, GGMLQuantizationType[own]).reshape(theirs.shape)
        if name.endswith(("attn_q.weight", "attn_k.weight")):  # back to halves: pairs are what `interleaved` makes
            heads = 4 if "attn_q" in name else 2
            values = values.reshape(heads, 8, 2, -1).swapaxes(1, 2).reshape(values.shape)
            assert_same(interleaved(values, heads).ravel(), quants.dequantize(data, GGMLQuantizationType[own]).ravel())
        theirs.copy_(torch.from_numpy(values.copy()))
    with torch.no_grad():
        expected = model(torch.tensor([IDS])).logits[0].numpy()
    gpu = spec_gpu(256, checks="off")  # every kernel has a spec of its own
    weights = Weights(gpu, open_model(tmp_path / "out.gguf"))
    weights.check()
    logits = Model(gpu, weights).forward(IDS, all_rows=True)
    gpu.sync()
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4, atol=1e-4)


def write_folder(folder):
    """A tiny model as transformers saves it, with a tokenizer."""
    model = random_model(7, tied=False, vocab_size=264, **SIZES)
    model.half().save_pretrained(folder)
    add_tokenizer(folder)
    return model


def add_tokenizer(folder):
    """A byte-level tokenizer of 256 bytes, two merges and two added tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: i for i, letter in enumerate([*letters, "ab", "abc"])}
    tokenizer = Tokenizer(models.BPE(vocab, [("a", "b"), ("ab", "c")]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_end|>"])
    tokenizer.add_tokens(["<tool>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"eos_token_id": 258, "bos_token_id": 258}))


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3["original_max_position_embeddings"] = 64


@pytest.mark.parametrize("again", [False, True], ids=["folder", "file"])
def test_scaled_rope_is_kept(tmp_path, again):
    """A folder has it among its settings, a file as a tensor: left out, the model would run and be wrong."""
    write_folder(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["rope_parameters"] |= LLAMA3
    (tmp_path / "config.json").write_text(json.dumps(settings))
    source, target = tmp_path, tmp_path / "out.gguf"
    if again:
        quantize_file(source, tmp_path / "first.gguf", "Q8_0")
        source = tmp_path / "first.gguf"
    quantize_file(source, target, "Q8_0")
    found = open_model(target).config().rope_factors
    assert found == open_model(tmp_path).config().rope_factors and max(found) == 8
    assert gguf.GGUFReader(target).get_tensor(0).data.tolist() == list(found)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model_type": "smollm3", "no_rope_layers": [0, 1]}, "has other blocks without RoPE than every fourth"),
        ({"model_type": "smollm3", "rope_scaling": LLAMA3}, "has scaled RoPE, which cannot be said in a GGUF file of the"),
        ({"model_type": "qwen3", "head_dim": 16, "attention_bias": True}, "has biases by choice"),
    ],
    ids=["blocks", "scaled", "biases"],
)
def test_what_a_gguf_file_cannot_say_is_named(tmp_path, settings, words):
    """The engine runs these models from their folders; llama.cpp loads no such file."""
    with pytest.raises(UserError, match=words):
        keys_of(HfModel(test_hf_model.write(tmp_path / "model", settings)))


def test_a_hugging_face_folder_becomes_a_file_that_says_the_same(tmp_path):
    """Sizes, tokenizer, template and weights: whatever the engine asks of a model, file and folder answer alike."""
    folder = tmp_path / "Tiny-1"
    folder.mkdir()
    model = write_folder(folder)
    quantize_file(folder, tmp_path / "out.gguf", "Q8_0")
    file, source = open_model(tmp_path / "out.gguf"), open_model(folder)
    ours, theirs = file.config(), source.config()
    assert (ours.rope_halves, theirs.rope_halves) == (False, True)
    assert {**vars(ours), "rope_halves": True, "eps": 0} == {**vars(theirs), "eps": 0}
    assert (ours.eps, file.chat_template) == (pytest.approx(theirs.eps), source.chat_template)
    a, b = file.vocabulary(), source.vocabulary()
    assert (a.special, a.written, a.pre_tokenizer, a.eos, a.bos, a.add_bos, a.ends) == (
        *(b.special, b.written, b.pre_tokenizer, b.eos, b.bos, b.add_bos, b.ends),
    )
    assert list(a.tokens[:260]) == list(b.tokens[:260]) and a.merges.tolist() == b.merges.tolist()
    gpu, text = Gpu(), "abc <tool>é\n<|im_end|>abab"
    assert OurTokenizer(gpu, a).encode(text) == OurTokenizer(gpu, b).encode(text)
    found = tensors(tmp_path / "out.gguf")
    for name, (own, data) in found.items():
        values = model.state_dict()[their_name(name)].float().numpy()
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            values = interleaved(values, 4 if "attn_q" in name else 2)
        assert own == ("F32" if values.ndim == 1 else "Q8_0")
        assert_same(data, quants.quantize(np.ascontiguousarray(values), GGMLQuantizationType[own]), what=name)


def test_all_keys_are_carried_over_unchanged(tied, tmp_path):
    """Byte for byte, keys that nobody here knows too; but for the two that say how the file is quantized."""
    writer = gguf.GGUFWriter(str(tmp_path / "in.gguf"), "llama")
    for key, value in gguf.GGUFReader(tied[1]).fields.items():
        if key.startswith("llama."):
            (writer.add_float32 if "." in str(value.contents()) else writer.add_uint32)(key, value.contents())
    writer.add_array("x.many", [1.5, 2.5])
    writer.add_int64("x.long", -5)
    writer.add_custom_alignment(64)
    writer.add_file_type(0)
    for name, (_, data) in tensors(tied[1]).items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    quantize_file(tmp_path / "in.gguf", tmp_path / "out.gguf", "Q4_1")
    before, after = stored_keys(tmp_path / "in.gguf"), stored_keys(tmp_path / "out.gguf")
    assert after == before | {"general.file_type": encoded(3), "general.quantization_version": encoded(2)}
    assert list(before) == list(after)[: len(before)]
    assert all(t.data_offset % 64 == 0 for t in gguf.GGUFReader(tmp_path / "out.gguf").tensors)
    assert_same(tensors(tmp_path / "out.gguf")["blk.0.ffn_up.weight"][1], tensors_of(tied[1], "blk.0.ffn_up.weight", "Q4_1"))


def tensors_of(path, name, kind):
    return quants.quantize(tensors(path)[name][1], GGMLQuantizationType[kind])


def test_rows_that_are_no_whole_blocks_become_halves(tmp_path):
    """As llama.cpp does it: 60 values are no multiple of 32."""
    path = write_gguf(random_model(3, hidden_size=60, num_hidden_layers=1, intermediate_size=64), tmp_path / "floats.gguf")
    quantize_file(path, tmp_path / "out.gguf", "Q4_0")
    kinds = {name: own for name, (own, _) in tensors(tmp_path / "out.gguf").items()}
    assert kinds["token_embd.weight"] == kinds["blk.0.ffn_up.weight"] == "F16" and kinds["blk.0.ffn_down.weight"] == "Q4_0"
    assert open_model(tmp_path / "out.gguf").tensors["blk.0.ffn_up.weight"].type == "F16"


def test_what_is_of_the_type_already_is_copied_and_what_is_packed_twice_is_counted(tied, tmp_path):
    """Quantizing a second time to the same type changes nothing; to another one it adds an error, which the summary tells."""
    once, again, other = (tmp_path / f"{name}.gguf" for name in ("once", "again", "other"))
    assert quantize_file(tied[1], once, "Q4_0").twice == 0
    assert quantize_file(once, again, "Q4_0").twice == 0
    assert once.read_bytes() == again.read_bytes()
    assert quantize_file(once, other, "Q5_0").twice == 14


def test_some_rows_at_a_time_give_the_same_bytes(gpus, tied):
    """A large tensor does not fit onto the device as floats all at once."""
    weights = Weights(gpus(256), open_model(tied[1]))
    target = type(weights.file.tensors["output_norm.weight"])
    info = weights.file.tensors["token_embd.weight"]
    wanted = target(info.name, info.shape, "Q4_1", 0, 0)
    parts = [list(Packer(weights, chunk).parts(info.name, wanted)) for chunk in (10, 64 * 7, 1 << 20)]
    assert [len(p) for p in parts] == [131, 19, 1]
    joined = [b"".join(bytes(data) for _, data in p) for p in parts]
    assert joined[0] == joined[1] == joined[2] == tensors_of(tied[1], info.name, "Q4_1").tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e6], ids=str)
def test_a_weight_that_no_type_holds_is_named_and_nothing_is_left_behind(tmp_path, bad):
    model = random_model(3, **SIZES)
    model.model.layers[1].mlp.up_proj.weight.data[3, 5] = bad
    path = write_gguf(model, tmp_path / "floats.gguf")
    with pytest.raises(UserError, match=r"tensor blk\.1\.ffn_up\.weight has a weight that is no number or above 65,504"):
        quantize_file(path, tmp_path / "out.gguf", "Q4_0")
    assert os.listdir(tmp_path) == ["floats.gguf"]


def test_a_file_that_is_there_is_replaced_only_by_force(tied, tmp_path):
    out = tmp_path / "out.gguf"
    out.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"is there already: give another name, or --force to replace it"):
        quantize_file(tied[1], out, "Q4_0")
    assert out.read_bytes() == b"mine"
    quantize_file(tied[1], out, "Q4_0", force=True)
    assert tensors(out) and os.listdir(tmp_path) == ["out.gguf"]


def test_a_file_can_be_replaced_by_its_own_quantization(tied, tmp_path):
    """The source is read to its end before its name goes to the new file."""
    path = tmp_path / "model.gguf"
    path.write_bytes(tied[1].read_bytes())
    quantize_file(path, path, "Q4_0", force=True)
    assert tensors(path)["blk.0.ffn_up.weight"][0] == "Q4_0"


def test_ctrl_c_leaves_nothing_behind(tied, tmp_path):
    def interrupt(what, done, total):
        if what == "quantizing" and done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_file(tied[1], tmp_path / "out.gguf", "Q4_0", progress=interrupt)
    assert os.listdir(tmp_path) == []


def test_a_name_taken_meanwhile_is_not_taken_away(tmp_path):
    out = tmp_path / "out.gguf"
    with pytest.raises(UserError, match="is there already"), whole_file(out, force=False) as file:
        file.write(b"ours")
        out.write_bytes(b"theirs")
    assert out.read_bytes() == b"theirs" and os.listdir(tmp_path) == ["out.gguf"]


def test_a_place_that_cannot_be_written_is_named(tied, tmp_path):
    with pytest.raises(UserError, match="cannot be written: No such file or directory"):
        quantize_file(tied[1], tmp_path / "nowhere" / "out.gguf", "Q4_0")
    with pytest.raises(UserError, match="is a folder"):
        quantize_file(tied[1], tmp_path, "Q4_0")


def test_a_new_file_may_be_read_by_those_whom_the_umask_lets(tied, tmp_path):
    """Temporary files are private; the finished one must not be."""
    quantize_file(tied[1], tmp_path / "out.gguf", "Q4_0")
    (tmp_path / "plain").touch()
    assert (tmp_path / "out.gguf").stat().st_mode == (tmp_path / "plain").stat().st_mode
