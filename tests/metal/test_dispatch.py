"""`Function.dispatch`, ours: shapes, edges, offsets and threadgroup memory, as a Metal host asks for them.

Expected values follow Apple's documentation: dispatchThreads cuts smaller threadgroups at the far edges of a grid; a SIMD-group is
32 threads that follow each other in the threadgroup's linear order, x first.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import metal
from conftest import examples

# Every attribute, for every thread, at the thread's place in the grid
ATTRIBUTES = {
    "uint3 grid [[threads_per_grid]]": 3,
    "uint3 at [[thread_position_in_grid]]": 3,
    "uint3 group [[threadgroup_position_in_grid]]": 3,
    "uint3 groups [[threadgroups_per_grid]]": 3,
    "uint3 inside [[thread_position_in_threadgroup]]": 3,
    "ushort3 size [[threads_per_threadgroup]]": 3,
    "ushort3 full [[dispatch_threads_per_threadgroup]]": 3,
    "uint linear [[thread_index_in_threadgroup]]": 1,
    "uint lane [[thread_index_in_simdgroup]]": 1,
    "uint simd [[simdgroup_index_in_threadgroup]]": 1,
    "ushort simds [[simdgroups_per_threadgroup]]": 1,
    "uint allsimds [[dispatch_simdgroups_per_threadgroup]]": 1,
    "ushort wide [[threads_per_simdgroup]]": 1,
}
NAMES = [declared.split()[1] for declared in ATTRIBUTES]
WORDS = sum(ATTRIBUTES.values()) + 3
FIELDS = [
    f"{name}.{axis}" if n == 3 else name for name, n in zip(NAMES, ATTRIBUTES.values(), strict=True) for axis in "xyz"[:n]
]
POSITIONS = f"""
kernel void positions(device uint *out [[buffer(0)]], {", ".join(ATTRIBUTES)}) {{
    threadgroup uint turned[1024];
    const uint count = uint(size.x) * size.y * size.z;
    turned[linear] = linear;
    const uint active = simd_sum(1u), before = simd_prefix_exclusive_sum(1u);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    device uint *o = out + ((at.z * grid.y + at.y) * grid.x + at.x) * {WORDS};
    {" ".join(f"*o++ += {field};" for field in FIELDS)}
    *o++ += active; *o++ += before; *o++ += turned[count - 1 - linear];
}}
kernel void flat(device uint *out [[buffer(0)]], uint2 i [[thread_position_in_grid]],
                 ushort2 t [[thread_position_in_threadgroup]], uint2 n [[threads_per_grid]]) {{
    out[i.y * n.x + i.x] = i.x * 1000000 + i.y * 10000 + t.x * 10 + 1;
}}
"""


def expected(grid, group):
    """What Metal says each thread sees, thread by thread: the columns of FIELDS, then the three last words."""
    whole = [-(-n // g) for n, g in zip(grid, group, strict=True)]
    every = -(-int(np.prod(group)) // 32)
    rows = np.zeros((*grid[::-1], WORDS), np.uint32)
    for z, y, x in itertools.product(*(range(n) for n in grid[::-1])):
        at = (x, y, z)
        place = [n // g for n, g in zip(at, group, strict=True)]
        local = [n % g for n, g in zip(at, group, strict=True)]
        size = [min(g, n - p * g) for g, n, p in zip(group, grid, place, strict=True)]
        linear, count = local[0] + size[0] * (local[1] + size[1] * local[2]), int(np.prod(size))
        simds, active = -(-count // 32), min(32, count - linear // 32 * 32)
        positions = [*grid, *at, *place, *whole, *local, *size, *group]
        rows[z, y, x] = [
            *positions,
            linear,
            linear % 32,
            linear // 32,
            simds,
            every,
            32,
            active,
            linear % 32,
            count - 1 - linear,
        ]
    return rows


@pytest.fixture(scope="module")
def program(device):
    return device.kernel("#include <metal_stdlib>\nusing namespace metal;\n" + POSITIONS)


def check(device, program, grid, group, **how):
    words = int(np.prod(grid)) * WORDS
    buffer = device.buffer(4 * words)
    run = program.function("positions").dispatch(threadgroup=group, buffers=[buffer], **(how or {"grid": grid}))
    del run
    got, wanted = np.frombuffer(buffer, np.uint32).reshape(*grid[::-1], WORDS), expected(grid, group)
    columns = [*FIELDS, "active lanes", "lanes before", "threadgroup memory"]
    wrong = [name for n, name in enumerate(columns) if not (got[..., n] == wanted[..., n]).all()]
    assert not wrong, f"grid {grid}, threadgroup {group}: {wrong}"


SHAPES = {
    "one thread": ((1, 1, 1), (1, 1, 1)),
    "one row, whole SIMD-groups": ((192, 1, 1), (64, 1, 1)),
    "one row, a SIMD-group and a bit": ((80, 1, 1), (40, 1, 1)),
    "one row, smaller last threadgroup": ((100, 1, 1), (64, 1, 1)),
    "grid smaller than the threadgroup": ((5, 3, 2), (64, 4, 4)),
    "a rectangle of whole SIMD-groups": ((64, 6, 1), (32, 3, 1)),
    "square": ((16, 16, 1), (8, 8, 1)),
    "square with both edges": ((21, 13, 1), (8, 8, 1)),
    "rows shorter than a SIMD-group, 3-D": ((8, 9, 10), (4, 3, 5)),
    "every edge in 3-D": ((9, 7, 5), (4, 4, 4)),
    "edges where rows are whole": ((70, 5, 3), (32, 2, 2)),
    "columns": ((3, 50, 1), (1, 33, 1)),
    "deep": ((2, 2, 70), (1, 1, 64)),
    "the largest threadgroup": ((40, 40, 1), (32, 32, 1)),
    "the largest, not square": ((13, 100, 2), (8, 64, 2)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_attribute_is_what_metal_says_in_one_two_and_three_dimensions(device, program, name):
    check(device, program, *SHAPES[name])


@examples(60)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 12)), min_size=3, max_size=3))
@example([(20, 10), (20, 10), (20, 10)])
@example([(33, 32), (2, 2), (1, 1)])
@example([(1, 12), (1, 12), (1, 7)])
def test_any_grid_over_any_threadgroup(device, program, axes):
    grid, group = tuple(n for n, _ in axes), tuple(g for _, g in axes)
    if np.prod(group) <= 1024:
        check(device, program, grid, group)


def test_whole_threadgroups_can_be_counted_instead_of_threads(device, program):
    for count, group in [((3, 2, 2), (5, 3, 1)), ((2, 2, 1), (32, 2, 1)), ((4, 1, 1), (32, 1, 1))]:
        grid = tuple(c * g for c, g in zip(count, group, strict=True))
        check(device, program, grid, group, threadgroups=count)


def test_numbers_and_short_tuples_stand_for_one_and_two_dimensions(device, program):
    flat = program.function("flat")
    for grid, group, (w, h), tile in [(70, 32, (70, 1), 32), ((70,), (9, 1), (70, 1), 9), ((6, 4), [3, 2], (6, 4), 3)]:
        buffer = device.buffer(4 * w * h)
        run = flat.dispatch(grid=grid, threadgroup=group, buffers=[buffer])
        del run
        y, x = np.mgrid[:h, :w]
        assert (np.frombuffer(buffer, np.uint32).reshape(h, w) == x * 1000000 + y * 10000 + x % tile * 10 + 1).all()


def test_an_empty_grid_runs_nothing(device, program):
    buffer = device.buffer(4 * WORDS)
    for how in ({"grid": 0}, {"grid": (4, 0, 1)}, {"threadgroups": 0}):
        run = program.function("positions").dispatch(threadgroup=8, buffers=[buffer], **how)
        del run
    assert not any(bytes(buffer))


# --- buffers ----------------------------------------------------------------------------------------------------------
MOVE = """
struct Pair { uint tag; float value; };
kernel void bytes(device const uchar *x [[buffer(0)]], device uint *y [[buffer(3)]], constant uint &n [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) { y[i] = x[i] + n; }
kernel void quads(device float4 *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] += 1; }
kernel void pairs(device Pair *x [[buffer(2)]], uint i [[thread_position_in_grid]]) { x[i].value = x[i].tag; }
"""


@pytest.fixture(scope="module")
def move(device):
    return device.kernel("#include <metal_stdlib>\nusing namespace metal;\n" + MOVE).function


@pytest.mark.parametrize(("x", "y", "n"), [(0, 0, 0), (1, 4, 8), (13, 100, 4), (255, 4, 16), (131, 392, 12)])
def test_a_buffer_may_begin_at_any_offset_that_its_type_allows(device, move, x, y, n):
    """4 bytes for what is 4 bytes, 1 for bytes: not the 128 bytes that OpenCL's own sub-buffers would want."""
    data, numbers = np.random.default_rng(x).integers(0, 256, 1024).astype(np.uint8), np.arange(5, 25, dtype=np.uint32)
    source, out, more = device.buffer(data), device.buffer(1024), device.buffer(numbers)
    run = move("bytes").dispatch(grid=100, threadgroup=64, buffers=[(source, x), (more, n), None, (out, y)])
    del run
    got = np.frombuffer(out, np.uint8)
    assert (got[y : y + 400].view(np.uint32) == data[x : x + 100] + numbers[n // 4]).all()
    assert not got[:y].any() and not got[y + 400 :].any()


def test_none_is_a_null_pointer_that_the_kernel_may_test(device):
    """A Metal host binds nil for what is absent. What is missing at the end was forgotten; a reference cannot be to nothing."""
    scaled = device.kernel(
        """kernel void scaled(device float *x [[buffer(0)]], constant float *by [[buffer(1)]], device const float *more [[buffer(2)]],
                              uint i [[thread_position_in_grid]]) { x[i] = x[i] * (by ? by[i] : 2) + (more ? more[i] : 0); }
           kernel void least(device float *x [[buffer(0)]], constant float &most [[buffer(1)]], uint i [[thread_position_in_grid]])
               { x[i] = x[i] < most ? x[i] : most; }"""
    ).function
    x, by, more = device.buffer(np.float32([1, 2, 3])), np.float32([3, 4, 5]), device.buffer(np.float32([7, 8, 9]))
    again = device.recording()
    for buffers, wanted in [([x, None, None], [2, 4, 6]), ([x, by, None], [6, 16, 30]), ([x, None, more], [19, 40, 69])]:
        run = scaled("scaled").dispatch(grid=3, threadgroup=3, buffers=buffers)
        del run
        assert np.frombuffer(x, np.float32).tolist() == wanted
        again.dispatch(scaled("scaled"), grid=3, threadgroup=3, buffers=buffers)
    again.replay()
    assert np.frombuffer(x, np.float32).tolist() == [19 * 2 * 3 * 2 + 7, 40 * 2 * 4 * 2 + 8, 69 * 2 * 5 * 2 + 9]
    with pytest.raises(metal.error, match=r"reads buffer\(2\) \('more'\), but only 2 were given"):
        scaled("scaled").dispatch(grid=3, threadgroup=3, buffers=[x, None])
    with pytest.raises(
        metal.error, match=r"buffer\(1\) \('most'\), a reference, which cannot be to nothing, but None was given"
    ):
        scaled("least").dispatch(grid=3, threadgroup=3, buffers=[x, None])


def test_one_buffer_may_be_bound_at_two_offsets(device, move):
    shared = device.buffer(np.arange(64, dtype=np.uint8).tobytes() + bytes(256))
    run = move("bytes").dispatch(grid=64, threadgroup=32, buffers=[shared, np.uint32([9]), b"gap", (shared, 64)])
    del run
    assert (np.frombuffer(shared, np.uint32, 64, 64) == np.arange(64) + 9).all()


def test_an_offset_that_the_type_does_not_allow_is_refused_in_words(device, move):
    buffer = device.buffer(1024)
    for name, index, offset, words in [
        ("quads", 0, 4, r"buffer\(0\): offset 4 must be a multiple of 16"),
        ("pairs", 2, 6, r"buffer\(2\): offset 6 must be a multiple of 4"),
        ("quads", 0, 1024, "offset 1024 is outside the buffer of 1024 bytes"),
        ("quads", 0, -16, "offset -16 is outside"),
        ("quads", 0, 1.5, "a whole number of bytes"),
    ]:
        with pytest.raises(metal.error, match=words):
            move(name).dispatch(grid=1, threadgroup=1, buffers=[None] * index + [(buffer, offset)])
    with pytest.raises(metal.error, match=r"buffer\(0\): an offset goes with a buffer of the device, not with bytes"):
        move("quads").dispatch(grid=1, threadgroup=1, buffers=[(b"0" * 64, 16)])
    for index, offset in [(0, 16), (0, 1008)]:
        run = move("quads").dispatch(grid=1, threadgroup=1, buffers=[None] * index + [(buffer, offset)])
        del run
    assert np.flatnonzero(np.frombuffer(buffer, np.float32)).tolist() == [4, 5, 6, 7, 252, 253, 254, 255]


def test_a_place_keeps_its_buffer_alive(device, move):
    buffer = device.buffer(8 << 20)
    view = np.frombuffer(buffer, np.float32)
    run = move("quads").dispatch(grid=(1 << 19) - 1, threadgroup=1024, buffers=[(buffer, 16)])
    del buffer
    del run
    assert (view[4:] == 1).all() and not view[:4].any()


# --- threadgroup memory given at the dispatch -------------------------------------------------------------------------
SHARED = """
kernel void reverse(device float *x [[buffer(0)]], threadgroup float *a [[threadgroup(1)]], threadgroup half4 *b [[threadgroup(0)]],
                    device float *y [[buffer(1)]], uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]],
                    uint n [[threads_per_threadgroup]], threadgroup uint &sum [[threadgroup(2)]]) {
    threadgroup float own[64];
    a[t] = x[i]; b[t] = half4(x[i]); own[t] = 1; if (t == 0) sum = 0;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (t == 0) for (uint k = 0; k < n; k++) sum += uint(own[k]);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    y[i] = a[n - 1 - t] + 100 * float(b[n - 1 - t].w) + sum * 10000;
}
"""


def test_threadgroup_arguments_get_the_memory_that_the_dispatch_gives(device):
    function = device.kernel("#include <metal_stdlib>\nusing namespace metal;\n" + SHARED).function("reverse")
    x = np.random.default_rng(0).integers(0, 50, 150).astype(np.float32)
    for width in (64, 37, 50):  # 37: the last threadgroup is smaller
        out = device.buffer(600)
        run = function.dispatch(grid=150, threadgroup=width, buffers=[x, out], threadgroup_memory=[8 * 64, 4 * 64, 16])
        del run
        rows = [x[n : n + width] for n in range(0, 150, width)]
        wanted = np.concatenate([row[::-1] * 101 + len(row) * 10000 for row in rows])
        assert (np.frombuffer(out, np.float32) == wanted).all(), width
    used = 32768 - 256
    run = function.dispatch(grid=1, threadgroup=1, buffers=[x, out], threadgroup_memory=[used - 32, 16, 16])
    del run
    for lengths, words in [
        ([], r"takes threadgroup\(1\) \('a'\): threadgroup_memory must give its length"),
        ([16, None, 16], "got None"),
        ([16, 20, 16], "a multiple of 16, got 20"),
        ([16, 0, 16], "a multiple of 16, got 0"),
        ([used - 16, 16, 16], "uses 32784 bytes of threadgroup memory, the limit is 32768"),
    ]:
        with pytest.raises(metal.error, match=words):
            function.dispatch(grid=1, threadgroup=1, buffers=[x, out], threadgroup_memory=lengths)
    with pytest.raises(metal.error, match=r"takes threadgroup\(1\) .* whose length this call cannot give"):
        function(1, x, out)


# --- refusals ---------------------------------------------------------------------------------------------------------
def test_wrong_dispatches_are_refused_in_words(device, program, move):
    function, buffer = program.function("positions"), device.buffer(4096)
    for how, words in [
        ({"threadgroup": 8}, "either grid= .* or threadgroups="),
        ({"threadgroup": 8, "grid": 8, "threadgroups": 1}, "either grid= .* or threadgroups="),
        ({"threadgroup": 1025, "grid": 8}, "a threadgroup of 1025×1×1 is 1025 threads, the limit is 1024"),
        ({"threadgroup": (33, 32), "grid": 8}, "33×32×1 is 1056 threads, the limit is 1024"),
        ({"threadgroup": (4, 0, 1), "grid": 8}, "threadgroup must be from 1 to"),
        ({"threadgroup": (1, 1, 1, 1), "grid": 8}, "threadgroup must be a whole number, or"),
        ({"threadgroup": "8", "grid": 8}, "threadgroup must be a whole number, or"),
        ({"threadgroup": 8, "grid": -1}, "grid must be from 0 to"),
        ({"threadgroup": 8, "grid": 1.5}, "grid must be a whole number, or"),
        ({"threadgroup": 8, "grid": 1 << 32}, "grid must be from 0 to 4294967295"),
        ({"threadgroup": 8, "threadgroups": 1 << 30}, "more than 4294967295 threads in one dimension"),
        ({"threadgroup": 8, "grid": 8, "buffers": []}, r"reads buffer\(0\) \('out'\), but only 0 were given"),
        ({"threadgroup": 8, "grid": 8, "buffers": ["text"]}, "Unsupported input format"),
    ]:
        with pytest.raises(metal.error, match=words):
            function.dispatch(**{"buffers": [buffer], **how})
    bounded = device.kernel(
        "[[max_total_threads_per_threadgroup(100)]] kernel void f(device uint *x, uint i [[thread_position_in_grid]]) { x[i] = i; }"
    )
    run = bounded.function("f").dispatch(grid=100, threadgroup=(25, 4), buffers=[buffer])
    del run
    with pytest.raises(metal.error, match="a threadgroup of 101×1×1 is 101 threads, the limit is 100"):
        bounded.function("f").dispatch(grid=100, threadgroup=101, buffers=[buffer])


def test_function_constants_are_refused_until_they_are_there(device):
    kernel = device.kernel("kernel void f(device uint *x [[buffer(0)]]) { x[0] = 1; }")
    assert kernel.function("f", constants={}) and kernel.function("f", constants=None)
    with pytest.raises(metal.error, match="function constants"):
        kernel.function("f", constants={0: 1})
