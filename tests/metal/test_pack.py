"""<metal_pack>: normalized integers in a word and back. Source: the specification's section 8.7: conversions round correctly."""

from __future__ import annotations

import numpy as np
import pytest

# format → bits of each component, the lowest first; the greatest value each can have; whether signed
FORMATS = {
    "unorm4x8": ((8, 8, 8, 8), (255, 255, 255, 255), False),
    "snorm4x8": ((8, 8, 8, 8), (127, 127, 127, 127), True),
    "unorm2x16": ((16, 16), (65535, 65535), False),
    "snorm2x16": ((16, 16), (32767, 32767), True),
    "unorm10a2": ((10, 10, 10, 2), (1023, 1023, 1023, 3), False),
    "unorm565": ((5, 6, 5), (31, 63, 31), False),
}
DTYPES = {"float": np.float32, "half": np.float16}
N = 1 << 16


def components(words: np.ndarray, bits, signed: bool) -> list[np.ndarray]:
    parts = [words.astype(np.int64) >> at & (1 << n) - 1 for n, at in zip(bits, np.cumsum([0, *bits]), strict=False)]
    return [np.where(p >> n - 1, p - (1 << n), p) for n, p in zip(bits, parts, strict=True)] if signed else parts


def values(dtype) -> np.ndarray:
    """On every format's steps, half way between and right beside that; what is out of range; four at a time."""
    rng = np.random.default_rng(0)
    halves = np.concatenate([rng.integers(0, 2 * m + 2, 16000) / (2 * m) for m in (3, 31, 63, 127, 255, 1023, 32767, 65535)])
    x = halves.astype(dtype)
    x = np.concatenate([x, np.nextafter(x, dtype(2)), np.nextafter(x, dtype(-2)), np.array([1.5, 60000, 1e-7, 0] * 500, dtype)])
    x *= rng.choice(dtype([1, 1, 1, -1]), x.size)
    return rng.permutation(x)[: N * 4].reshape(N, 4)


@pytest.fixture(scope="module", params=DTYPES)
def packed(run, request):
    """kind, the values, the words packed from them (a row for each format), words, and the values unpacked from those."""
    kind, rows = request.param, []
    for row, (name, (bits, *_)) in enumerate([*FORMATS.items(), ("srgb", FORMATS["unorm4x8"])]):
        n = len(bits)
        pack = f"pack_{kind}_to_" + ("srgb_unorm4x8" if name == "srgb" else name)
        unpack = "unpack_" + ("unorm4x8_srgb" if name == "srgb" else name) + f"_to_{kind}"
        word = "ushort(given[i])" if name == "unorm565" else "given[i]"
        rows.append(f"words[{row} * {N} + i] = {pack}(x[i].{'xyzw'[:n]});")
        rows.append(f"back[{row} * {N} + i] = {kind}4({unpack}({word}){', 0' * (4 - n)});")
    source = f"""
    kernel void f(device const {kind}4 *x [[buffer(0)]], device uint *words [[buffer(1)]], device const uint *given [[buffer(2)]],
                  device {kind}4 *back [[buffer(3)]], uint i [[thread_position_in_grid]]) {{ {" ".join(rows)} }}
    """
    x = values(DTYPES[kind])
    # every ushort below, the same backwards above: every value of every component occurs
    given = np.arange(N, dtype=np.uint32) | np.arange(N, dtype=np.uint32)[::-1] << 16
    poison = np.full((7, N, 4), np.nan, DTYPES[kind])
    _, words, _, back = run(source, N, x, np.full((7, N), 0xCDCDCDCD, np.uint32), given, poison)
    return kind, x, words, given, back


@pytest.mark.parametrize("name", FORMATS)
def test_packing_clamps_and_rounds_to_the_nearest_even(packed, name):
    _, x, words, _, _ = packed
    bits, most, signed = FORMATS[name]
    parts = components(words[[*FORMATS].index(name)], bits, signed)
    for n, (part, top) in enumerate(zip(parts, most, strict=True)):
        exact = np.rint(np.clip(x[:, n].astype(np.float64), -1 if signed else 0, 1) * top)
        wrong = part != exact
        assert not wrong.any(), f"{wrong.sum()} wrong: {x[wrong, n][0]!r} became {part[wrong][0]}, not {exact[wrong][0]}"


@pytest.mark.parametrize("name", FORMATS)
def test_unpacking_is_correctly_rounded_for_every_value(packed, name):
    """The ends are exact: 0, 1, and both the lowest and the next one are -1."""
    kind, _, _, given, back = packed
    bits, most, signed = FORMATS[name]
    word = given & 0xFFFF if name == "unorm565" else given
    for n, (part, top) in enumerate(zip(components(word, bits, signed), most, strict=True)):
        exact = np.maximum(part / top, -1).astype(DTYPES[kind])
        assert set(part.tolist()) >= {0, top} and np.array_equal(back[[*FORMATS].index(name), :, n], exact), n


def test_srgb_curves_are_as_close_as_8_7_7_asks(packed):
    """The way in within 1 of the exact value, the way out within half a step of where it came from; alpha is not curved."""
    kind, x, words, given, back = packed
    curve = lambda c: np.where(c < 0.0031308, 12.92 * c, 1.055 * np.power(np.maximum(c, 0), 1 / 2.4) - 0.055)  # noqa: E731
    for n, (there, come) in enumerate(
        zip(components(words[6], (8,) * 4, False), components(given, (8,) * 4, False), strict=True)
    ):
        c, out = np.clip(x[:, n].astype(np.float64), 0, 1), back[6, :, n].astype(np.float64)
        if n == 3:
            assert np.array_equal(there, np.rint(c * 255)) and np.array_equal(out, (come / 255).astype(DTYPES[kind]))
        else:
            assert (np.abs(there - curve(c) * 255) < 1).all() and (np.abs(curve(out) * 255 - come) <= 0.5).all()
