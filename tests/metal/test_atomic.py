"""Atomic operations with every thread at once on one place, against what any order must give. Source: Metal Shading Language
Specification 2.3, §2.6, §6.13 (atomic_float: 3.0; atomic_ulong: 2.4)."""

from __future__ import annotations

import numpy as np
import pytest

import metal
from tests.metal.conftest import HEAD

N = 4096  # threads, in threadgroups of 256
R = "memory_order_relaxed"
# operation → (what its result on one place must be, from the start value and every operand)
FETCH = {
    "add": lambda start, x: start + x.sum(),
    "sub": lambda start, x: start - x.sum(),
    "and": lambda start, x: np.bitwise_and.reduce(x, initial=start),
    "or": lambda start, x: np.bitwise_or.reduce(x, initial=start),
    "xor": lambda start, x: np.bitwise_xor.reduce(x, initial=start),
    "min": lambda start, x: min(start, x.min()),
    "max": lambda start, x: max(start, x.max()),
}
START = {"and": -1, "or": 0, "xor": 0x5A5A, "min": 1 << 20, "max": -(1 << 20), "add": 7, "sub": 7}


def body(kind: str) -> str:
    """f: on 1 device place each and on 5 of them; g: the same in threadgroup memory; in branches, so that some lanes are out."""
    places = len(FETCH)
    one, many, group, store = [], [], [], []
    for n, op in enumerate(FETCH):
        call = f"atomic_fetch_{op}_explicit"
        one.append(f"{call}(y + {n}, x[i], {R});")
        many.append(f"{call}((volatile device atomic<{kind}> *)y + {places} + {n} * 5 + i % 5, x[i], {R});")
        group.append(f"{call}(&t[{n}], x[i], {R}); {call}((volatile threadgroup atomic_{kind} *)&v[{n}], x[i], {R});")
        store.append(
            f"atomic_store_explicit(&t[{n}], {kind}({START[op]}), {R}); atomic_store_explicit(&v[{n}], {kind}({START[op]}), {R});"
        )
    return f"""
    [[max_total_threads_per_threadgroup(256)]]
    kernel void f(device const {kind} *x [[buffer(0)]], device atomic_{kind} *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {{
        if (i % 3 != 1) {{ {" ".join(one + many)} }}
    }}
    [[max_total_threads_per_threadgroup(256)]]
    kernel void g(device const {kind} *x [[buffer(0)]], device {kind} *y [[buffer(1)]], uint i [[thread_position_in_grid]],
                  uint w [[threadgroup_position_in_grid]], uint lane [[thread_position_in_threadgroup]]) {{
        threadgroup atomic_{kind} t[{places}], v[{places}];
        if (lane == 0) {{ {" ".join(store)} }}
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (i % 3 != 1) {{ {" ".join(group)} }}
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (lane < {places}) {{
            y[w * {2 * places} + lane] = atomic_load_explicit(&t[lane], {R});
            y[w * {2 * places} + {places} + lane] = atomic_load_explicit(v + lane, {R});
        }}
    }}"""


@pytest.mark.parametrize(("kind", "dtype"), [("int", np.int32), ("uint", np.uint32)])
def test_many_threads_on_one_place_lose_nothing(run, kind, dtype):
    x = np.random.default_rng(1).integers(0, 1 << 16, N).astype(dtype)
    starts = np.array([START[op] for op in FETCH], np.int64).astype(dtype)
    if kind == "uint":
        starts[list(FETCH).index("max")] = 0
    takes_part = np.arange(N) % 3 != 1
    y = run(body(kind), N, x, np.concatenate([starts, np.repeat(starts, 5)]))[1]
    with np.errstate(over="ignore"):
        for n, (op, result) in enumerate(FETCH.items()):
            assert y[n] == dtype(result(starts[n], x[takes_part])), op
            of_five = [dtype(result(starts[n], x[takes_part & (np.arange(N) % 5 == k)])) for k in range(5)]
            assert y[len(FETCH) + 5 * n :][:5].tolist() == of_five, op
        poison = np.full(N // 256 * 2 * len(FETCH), 77, dtype)
        groups = run(body(kind), N, x, poison, name="g")[1].reshape(-1, 2, len(FETCH))
        starts[list(FETCH).index("max")] = dtype(np.int64(START["max"]) & 0xFFFFFFFF) if kind == "uint" else START["max"]
        for w, got in enumerate(groups):
            mine = x[w * 256 : w * 256 + 256][takes_part[w * 256 : w * 256 + 256]]
            expected = [dtype(result(starts[n], mine)) for n, result in enumerate(FETCH.values())]
            assert got.tolist() == [expected, expected], f"threadgroup {w}"


def test_what_fetch_gives_back_is_a_place_of_ones_own(run):
    """Each of the N threads that add 1 gets another of the numbers 0 … N − 1; exchange hands every value on exactly once."""
    source = f"""kernel void f(device atomic_uint *count [[buffer(0)]], device uint *y [[buffer(1)]], device atomic_int &last [[buffer(2)]],
                              device int *z [[buffer(3)]], uint i [[thread_position_in_grid]]) {{
        y[i] = atomic_fetch_add_explicit(count, 1, {R});
        z[i] = atomic_exchange_explicit(&last, int(i), {R});
    }}"""
    count, y, last, z = run(source, N, np.zeros(1, np.uint32), np.zeros(N, np.uint32), np.int32([-1]), np.zeros(N, np.int32))
    assert count[0] == N and np.sort(y).tolist() == list(range(N))
    assert np.sort(np.append(z, last)).tolist() == list(range(-1, N))


def test_compare_exchange(run):
    """One thread of all wins the place; a loop of compare and exchange adds without loss; a failure tells what stood there."""
    source = f"""
    struct Places {{ atomic_uint winner; atomic<int> sum; atomic_bool flag; atomic_uint wins; atomic_uint first; }};
    kernel void f(device Places &p [[buffer(0)]], device uint *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {{
        uint nobody = 0;
        if (atomic_compare_exchange_weak_explicit(&p.winner, &nobody, i + 1, {R}, {R})) {{
            atomic_fetch_add_explicit(&p.wins, 1, {R}); y[i] = i + 1;
        }} else y[i] = nobody;
        if (i % 4 == 0) {{
            int old = atomic_load_explicit(&p.sum, {R});
            while (!atomic_compare_exchange_weak_explicit(&p.sum, &old, old + int(i), {R}, {R})) {{}}
        }}
        if (!atomic_exchange_explicit(&p.flag, true, {R})) atomic_fetch_add_explicit(&p.first, 1, {R});
        bool expected = false;
        if (atomic_compare_exchange_weak_explicit(&p.flag, &expected, false, {R}, {R}) || !expected) atomic_store_explicit(&p.sum, -1, {R});
    }}"""
    p, y = run(source, N, np.zeros(5, np.uint32), np.zeros(N, np.uint32), std="2.4")
    assert 1 <= p[0] <= N and (y == p[0]).all(), "all others saw the one winner"
    assert p[1] == sum(range(0, N, 4)) and p[3] == 1
    assert p[2] == 1 and p[4] == 1, "atomic_bool: of all threads, one found it false; afterwards it is true, in one byte"


def test_bools_in_threadgroup_memory_and_every_load_and_store(run):
    source = f"""
    [[max_total_threads_per_threadgroup(64)]]
    kernel void f(device uint *y [[buffer(0)]], uint i [[thread_position_in_grid]], uint lane [[thread_position_in_threadgroup]]) {{
        threadgroup atomic_bool seen[4];
        threadgroup atomic_uint wins;
        if (lane < 4) atomic_store_explicit(&seen[lane], lane == 2, {R});
        if (lane == 0) atomic_store_explicit(&wins, 0, {R});
        threadgroup_barrier(mem_flags::mem_threadgroup);
        bool old = false;
        if (atomic_compare_exchange_weak_explicit(&seen[lane % 4], &old, true, {R}, {R})) atomic_fetch_add_explicit(&wins, 1u << (lane % 4 * 4), {R});
        threadgroup_barrier(mem_flags::mem_threadgroup);
        const volatile threadgroup atomic_bool *one = &seen[1];
        y[i] = atomic_load_explicit(&wins, {R}) + (atomic_load_explicit(one, {R}) ? 0x10000 : 0) + (atomic_exchange_explicit(&seen[3], true, {R}) ? 0x20000 : 0);
    }}"""
    assert (run(source, 256, np.zeros(256, np.uint32))[0] == 0x31011).all()


def test_float_and_ulong(run):
    """Sums of halves are exact, so the order of additions does not matter."""
    source = f"""kernel void f(device const float *x [[buffer(0)]], device atomic_float *y [[buffer(1)]], device atomic_ulong *z [[buffer(2)]],
                              device float *w [[buffer(3)]], uint i [[thread_position_in_grid]]) {{
        const float before = atomic_fetch_add_explicit(&y[0], x[i], {R});
        if (i % 7 == 3) atomic_fetch_sub_explicit(y + 1 + i % 2, 0.5f, {R});
        atomic_max_explicit(z, ulong(i) << 33, {R}); atomic_min_explicit(z + 1, (ulong(i) + 5) << 33, {R});
        if (i == 0) {{ atomic_store_explicit(&y[3], 2.5f, {R}); w[0] = atomic_exchange_explicit(&y[3], 4.5f, {R}); w[1] = atomic_load_explicit(y + 3, {R}); }}
        if (before < 0) w[2] = 1;
    }}"""
    x = np.random.default_rng(2).integers(0, 100, N).astype(np.float32) / 2
    limits = np.array([0, 2**64 - 1], np.uint64)
    _, y, z, w = run(source, N, x, np.zeros(4, np.float32), limits, np.zeros(3, np.float32), std="3.0")
    sub = [0.5 * sum(1 for i in range(N) if i % 7 == 3 and i % 2 == k) for k in (0, 1)]
    assert y.tolist() == [x.sum(), -sub[0], -sub[1], 4.5] and w.tolist() == [2.5, 4.5, 0]
    assert z.tolist() == [(N - 1) << 33, 5 << 33]


K = "kernel void f(device int *y [[buffer(0)]], device atomic_int *a [[buffer(1)]], device atomic_bool *b [[buffer(2)]]) { "
REFUSED = {
    "another order": K + "atomic_store_explicit(a, 1, memory_order_seq_cst); }",
    "no order": K + "atomic_fetch_add_explicit(a, 1); }",
    "OpenCL's short names": K + "atomic_fetch_add(a, 1); }",
    "OpenCL's names for plain integers": K + "atomic_add(y, 1); }",
    "a plain integer": K + f"atomic_fetch_add_explicit(y, 1, {R}); }}",
    "arithmetic on atomic_bool": K + f"atomic_fetch_or_explicit(b, true, {R}); }}",
    "an atomic in thread memory": K + f"thread atomic_int t; atomic_store_explicit(&t, 1, {R}); }}",
    "an atomic read as a number": K + "y[0] = a[0]; }",
    "an atomic incremented": K + "a[0]++; }",
    "expected in device memory": K + f"atomic_compare_exchange_weak_explicit(a, y, 1, {R}, {R}); }}",
    "a float maximum": "kernel void f(device atomic_float *a [[buffer(0)]]) { " + f"atomic_fetch_max_explicit(a, 1.0f, {R}); }}",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(device, name):
    with pytest.raises(metal.error, match=r"program_source:\d+:\d+: error: "):
        device.kernel(HEAD + REFUSED[name], std="3.0")
