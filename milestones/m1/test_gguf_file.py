"""The spec of the GGUF reader. Source: ggml's docs/gguf.md; the oracle is the `gguf` package, which writes and reads too."""

from __future__ import annotations

import os
import struct
import time

import gguf
import numpy as np
import psutil
import pytest

from milestones.errors import UserError
from milestones.m1.gguf_file import TYPES, GgufFile


# --- files made byte by byte, so that any field can be forged ---------------------------------------------------------
def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def entry(name: str | bytes, dims: list[int], kind: int, offset: int, n_dims: int | None = None) -> bytes:
    shape = struct.pack(f"<{len(dims)}Q", *dims)
    return text(name) + struct.pack("<I", len(dims) if n_dims is None else n_dims) + shape + struct.pack("<IQ", kind, offset)


def array(kind: int, values: bytes, count: int) -> bytes:
    return struct.pack("<IQ", kind, count) + values


PAIRS = [
    pair("general.architecture", 8, text("llama")),
    pair("general.alignment", 4, struct.pack("<I", 32)),
    pair("words", 9, array(8, text("é") + text("") + text("abc"), 3)),
    pair("numbers", 9, array(5, struct.pack("<3i", -1, 2, 3), 3)),
    pair("flag", 7, b"\1"),
]
ENTRIES = [entry("a", [4, 2], 0, 0), entry("b", [32], 3, 32)]
DATA = bytes(range(32)) + bytes(range(20)) + bytes(12)


def gguf_bytes(pairs=PAIRS, entries=ENTRIES, data=DATA, version=3, counts=None) -> bytes:
    head = b"GGUF" + struct.pack("<I", version) + struct.pack("<QQ", *(counts or (len(entries), len(pairs))))
    head += b"".join(pairs) + b"".join(entries)
    return head + bytes(-len(head) % 32) + data


def opened(tmp_path, content: bytes) -> GgufFile:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    return GgufFile(path)


def refused(tmp_path, content: bytes, *words: str) -> None:
    """One line that names the file and says what is wrong."""
    with pytest.raises(UserError) as problem:
        opened(tmp_path, content)
    message = str(problem.value)
    assert "model.gguf" in message and "\n" not in message and message.isprintable()
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"


# --- right files ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [2, 3])
def test_a_file_worked_by_hand(tmp_path, version):
    file = opened(tmp_path, gguf_bytes(version=version))
    assert file.version == version
    assert file.metadata["words"] == ["é", "", "abc"] and file.metadata["numbers"] == [-1, 2, 3]
    assert file.metadata["flag"] is True and file.metadata["general.architecture"] == "llama"
    assert (file.tensors["a"].shape, file.tensors["a"].type, file.tensors["a"].nbytes) == ((2, 4), "F32", 32)
    assert bytes(file.raw("a")) == DATA[:32] and bytes(file.raw("b")) == DATA[32:52]


def test_raw_is_a_view_of_the_mapped_file_that_outlives_the_reader(tmp_path):
    raw = opened(tmp_path, gguf_bytes()).raw("b")
    assert raw.readonly and bytes(raw[:3]) == b"\0\1\2" and raw.nbytes == 20


def test_released_memory_is_read_again_when_it_is_asked_for(model_path):
    """A loaded model must not stand in memory twice."""

    def mapped() -> int:
        return sum(m.rss for m in psutil.Process().memory_maps() if m.path == str(model_path))

    file = GgufFile(model_path)
    first = file.raw("token_embd.weight")
    before = bytes(first)
    held = mapped()
    file.release()
    assert held > len(before) and mapped() < held / 100
    assert bytes(first) == before == bytes(file.raw("token_embd.weight"))


def test_every_value_type_reads_as_gguf_wrote_it(tmp_path):
    """All scalars at their extremes, arrays, arrays in arrays."""
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    limits = {"uint8": 255, "int8": -128, "uint16": 65535, "int16": -32768, "uint32": 2**32 - 1, "int32": -(2**31)}
    limits |= {"uint64": 2**64 - 1, "int64": -(2**63), "float32": 1.5, "float64": 1 / 3, "bool": True, "string": "naïve 🙂"}
    for kind, value in limits.items():
        getattr(writer, f"add_{kind}")(kind, value)
    arrays = {"ints": [1, -2, 3], "floats": [0.5, -1.25], "bools": [True, False], "strings": ["", "a", "ß\n"]}
    for key, values in arrays.items():
        writer.add_array(key, values)
    writer.add_array("nested", [[1, 2], [3]])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    got = GgufFile(path).metadata
    assert {key: got[key] for key in limits} == limits
    assert {key: got[key] for key in arrays} == arrays and got["nested"] == [[1, 2], [3]]
    assert [type(got[k]) for k in ("bool", "uint8", "float32")] == [bool, int, float] and type(got["bools"][0]) is bool


def compare_with_gguf(path) -> None:
    theirs, ours = gguf.GGUFReader(path), GgufFile(path)
    fields = {key: field.contents() for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert ours.metadata.keys() == fields.keys()
    for key, value in fields.items():
        assert ours.metadata[key] == value, key
    assert [t.name for t in theirs.tensors] == list(ours.tensors)
    for t in theirs.tensors:
        info = ours.tensors[t.name]
        assert info.shape == tuple(reversed(t.shape.tolist()))
        assert (info.type, info.offset, info.nbytes) == (t.tensor_type.name, t.data_offset, t.n_bytes)
        assert bytes(ours.raw(t.name)[:4096]) == t.data.tobytes()[:4096]


@pytest.mark.parametrize("alignment", [32, 64, 4096])
def test_reads_what_gguf_reads_of_what_gguf_wrote(tmp_path, alignment):
    path, rng = tmp_path / "model.gguf", np.random.default_rng(1)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_custom_alignment(alignment)
    writer.add_token_list([b"a", "Ġé".encode(), b"c"])
    writer.add_tensor("f32", rng.standard_normal((3, 5, 7), np.float32))
    writer.add_tensor("f16", rng.standard_normal(11).astype(np.float16))
    for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q6_K):
        size = gguf.GGML_QUANT_SIZES[kind][1]
        writer.add_tensor(kind.name, rng.integers(0, 256, (3, 2 * size), np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    compare_with_gguf(path)


def test_reads_what_gguf_reads_of_the_default_model(model_path):
    compare_with_gguf(model_path)


def test_a_vocabulary_of_49152_tokens_is_read_in_a_quarter_of_a_second(model_path):
    best = 9.0
    for _ in range(3):
        began = time.perf_counter()
        file = GgufFile(model_path)
        best = min(best, time.perf_counter() - began)
    assert len(file.metadata["tokenizer.ggml.tokens"]) == 49152 and len(file.metadata["tokenizer.ggml.merges"]) == 48900
    assert best < 0.25


def test_the_sizes_of_all_types_are_those_of_gguf():
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        if kind.name != "Q8_1":  # never in a file; gguf and ggml disagree about its size
            assert TYPES[int(kind)] == (kind.name, block, size)


def test_a_type_of_the_future_is_listed_but_has_no_bytes(tmp_path):
    file = opened(tmp_path, gguf_bytes(entries=[entry("a", [4], 99, 0), ENTRIES[1]]))
    assert file.tensors["a"].type == "type 99" and bytes(file.raw("b")) == DATA[32:52]
    with pytest.raises(UserError, match="tensor a has type 99"):
        file.raw("a")
    with pytest.raises(UserError, match="no tensor c"):
        file.raw("c")


# --- files that are none ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"GG", "truncated"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (b"\x08\0\0\0\0\0\0\0{}      ", "safetensors"),
        (b"tjgg\x03\0\0\0", "before GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"hello, world", "not a GGUF file"),
        (b"FUGG\0\0\0\3", "not a GGUF file"),
        (gguf_bytes(version=1), "version 1"),
        (gguf_bytes(version=4), "version 4"),
        (gguf_bytes(version=0), "version 0"),
        (b"GGUF\0\0\0\3" + bytes(64), "big-endian"),
    ],
    ids=["empty", "GG", "zip", "safetensors", "ggjt", "lfs", "html", "text", "reversed", "v1", "v4", "v0", "big-endian"],
)
def test_a_foreign_file_is_named_for_what_it_is(tmp_path, content, words):
    refused(tmp_path, content, words)


def test_what_is_no_plain_file_is_refused_at_once(tmp_path):
    """A pipe that nobody writes to must not be waited for."""
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path, "folder"), (tmp_path / "no", "no such file"), (tmp_path / "pipe", "plain file")):
        with pytest.raises(UserError, match=words):
            GgufFile(path)
    with pytest.raises(UserError, match=r"^[^\n]*no\\nfile[^\n]*$"):
        GgufFile(tmp_path / "no\nfile")
    with pytest.raises(UserError, match="cannot be read"):
        GgufFile("a\0b")


HUGE = 2**64 - 1
FORGED = {
    "tensor count": (gguf_bytes(counts=(HUGE, 5)), "truncated or damaged"),
    "tensor count that fits nowhere": (gguf_bytes(counts=(2**40, 5)), "list of 1,099,511,627,776 tensors"),
    "key count": (gguf_bytes(counts=(2, HUGE)), "keys needs"),
    "one key too many": (gguf_bytes(counts=(2, 6)), "model.gguf"),
    "key length": (gguf_bytes(pairs=[struct.pack("<Q", HUGE) + b"k"]), "name of key 0"),
    "string length": (gguf_bytes(pairs=[pair("k", 8, struct.pack("<Q", 2**63))]), "key k"),
    "array count": (gguf_bytes(pairs=[pair("k", 9, array(4, b"", HUGE))]), "key k"),
    "array of bytes count": (gguf_bytes(pairs=[pair("k", 9, array(0, b"", 2**40))]), "key k"),
    "array of strings count": (gguf_bytes(pairs=[pair("k", 9, array(8, b"", 2**60))]), "key k"),
    "array of arrays count": (gguf_bytes(pairs=[pair("k", 9, array(9, b"", 2**60))]), "key k"),
    "a string inside an array": (gguf_bytes(pairs=[pair("k", 9, array(8, text("a") + struct.pack("<Q", HUGE), 2))]), "key k"),
    "nested too deep": (gguf_bytes(pairs=[pair("k", 9, array(9, b"", 1)[:12] * 900 + array(0, b"", 0))]), "nested"),
    "value type": (gguf_bytes(pairs=[pair("k", 13, bytes(8))]), "value type 13"),
    "array value type": (gguf_bytes(pairs=[pair("k", 9, array(77, bytes(8), 1))]), "value type 77"),
    "truth value": (gguf_bytes(pairs=[pair("k", 7, b"\2")]), "truth value of 2"),
    "truth values": (gguf_bytes(pairs=[pair("k", 9, array(7, b"\0\1\xff", 3))]), "truth value of 255"),
    "key not UTF-8": (gguf_bytes(pairs=[pair(b"\xff\xfe", 4, bytes(4))]), "not UTF-8"),
    "string not UTF-8": (gguf_bytes(pairs=[pair("k", 8, text(b"\xc0\x80"))]), "key k", "not UTF-8"),
    "tensor name not UTF-8": (gguf_bytes(entries=[entry(b"\xff", [4], 0, 0)]), "not UTF-8"),
    "key twice": (gguf_bytes(pairs=[PAIRS[0], PAIRS[0]]), "general.architecture is there twice"),
    "key with a line break twice": (gguf_bytes(pairs=[pair("a\nb", 7, b"\1")] * 2), r"a\nb is there twice"),
    "tensor twice": (gguf_bytes(entries=[ENTRIES[0]] * 2), "tensor a is there twice"),
    "dimensions": (gguf_bytes(entries=[entry("a", [4], 0, 0, n_dims=2**32 - 1)]), "4,294,967,295 dimensions"),
    "five dimensions": (gguf_bytes(entries=[entry("a", [1] * 5, 0, 0)]), "5 dimensions"),
    "a dimension of 0": (gguf_bytes(entries=[entry("a", [4, 0], 0, 0)]), "impossible shape (0, 4)"),
    "shape past 64 bits": (gguf_bytes(entries=[entry("a", [2**62, 2**62, 4], 0, 0)]), "impossible shape"),
    "shape that wraps to 4": (gguf_bytes(entries=[entry("a", [2**62 + 1, 4], 0, 0)]), "impossible shape"),
    "shape past the file": (gguf_bytes(entries=[entry("a", [2**40], 0, 0)]), "tensor a ends at byte"),
    "rows that are no whole blocks": (gguf_bytes(entries=[entry("a", [16, 2], 3, 0)]), "multiple of 32"),
    "offset past the file": (gguf_bytes(entries=[entry("a", [4], 0, 2**40)]), "tensor a ends at byte"),
    "offset near 2^64": (gguf_bytes(entries=[entry("a", [4], 0, 2**64 - 32)]), "tensor a ends at byte"),
    "offset of an unknown type": (gguf_bytes(entries=[entry("a", [4], 99, 2**40)]), "tensor a ends at byte"),
    "offset off the alignment": (gguf_bytes(entries=[entry("a", [1], 0, 4)]), "alignment"),
    "alignment 0": (gguf_bytes(pairs=[pair("general.alignment", 4, bytes(4))]), "power of two, it is 0"),
    "alignment 24": (gguf_bytes(pairs=[pair("general.alignment", 4, struct.pack("<I", 24))]), "power of two"),
    "alignment of text": (gguf_bytes(pairs=[pair("general.alignment", 8, text("x"))]), "power of two"),
    "alignment past the file": (gguf_bytes(pairs=[pair("general.alignment", 4, struct.pack("<I", 2**31))]), "multiple of"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED, ids=str)
def test_a_forged_field_is_one_line_and_costs_nothing(tmp_path, case):
    content, *words = FORGED[case]
    began = time.perf_counter()
    refused(tmp_path, content, *words)
    assert time.perf_counter() - began < 0.5, "a forged count must not be believed"


def test_a_file_cut_anywhere_is_refused(tmp_path):
    whole = gguf_bytes()
    for end in range(len(whole) - 12):  # the last 12 bytes are padding
        refused(tmp_path, whole[:end], "model.gguf")
    opened(tmp_path, whole[:-12])


def test_what_a_large_file_could_make_the_reader_hold_is_bounded(tmp_path):
    """Twenty million truth values in a file of 20 MB would be a list of 160 MB, and a 4 GB file one of 32 GB."""
    refused(tmp_path, gguf_bytes(pairs=[pair("k", 9, array(0, bytes(1 << 25), 1 << 25))]), "33,554,432 elements")
