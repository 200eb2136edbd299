"""What simd_… and quad_… functions must give, by NumPy, and Metal programs that call many of them in one kernel.

The rules (Metal Shading Language Specification, "SIMD-group functions", "Quad-group functions"): a function works on the
group's active lanes; a value fetched from an inactive lane is undefined; up and down do not wrap and leave the lanes at the
edge as they are.
"""

from __future__ import annotations

import numpy as np

LANES = 1024 * 13  # 13 groups of 1024, 29.7 of 448 …
THREADS = LANES - 11  # … and a last SIMD-group with lanes that have returned
KINDS = {"char": np.int8, "uchar": np.uint8, "short": np.int16, "ushort": np.uint16, "int": np.int32, "uint": np.uint32,
         "half": np.float16, "float": np.float32}  # fmt: skip

# branch → (condition in Metal, the same by NumPy for threads i with values v)
BRANCHES = {
    "every lane": ("true", lambda i, v: i >= 0),
    "whole SIMD-groups": ("i / 32 % 3 == 1", lambda i, v: i // 32 % 3 == 1),
    "odd lanes": ("i % 2 == 1", lambda i, v: i % 2 == 1),
    "one lane": ("i % 32 == 17", lambda i, v: i % 32 == 17),
    "all but the first": ("i % 32 > 0", lambda i, v: i % 32 > 0),
    "by value": ("x[i] % 5 < 2", lambda i, v: np.fmod(v, 5) < 2),
}
# every second SIMD-group whole, the others with half their lanes: both ways through a function in one kernel
MIXED = ("i % 64 < 32 || i % 2 == 1", lambda i, v: (i % 64 < 32) | (i % 2 == 1))

REDUCTIONS = {
    "sum": (np.add, 0), "product": (np.multiply, 1), "min": (np.minimum, np.inf), "max": (np.maximum, -np.inf),
    "and": (np.bitwise_and, -1), "or": (np.bitwise_or, 0), "xor": (np.bitwise_xor, 0),
}  # fmt: skip
# call → the lane that each of `size` lanes takes its value from
MOVES = {
    "broadcast(v, 2)": lambda lane, size: lane * 0 + 2,
    "shuffle(v, ushort((lane * 7 + 3) % SIZE))": lambda lane, size: (lane * 7 + 3) % size,
    "shuffle_up(v, 1)": lambda lane, size: np.where(lane >= 1, lane - 1, lane),
    "shuffle_up(v, far)": lambda lane, size: np.where(lane >= 2, lane - 2, lane),
    "shuffle_down(v, 3)": lambda lane, size: np.where(lane < size - 3, lane + 3, lane),
    "shuffle_down(v, far)": lambda lane, size: np.where(lane < size - 2, lane + 2, lane),
    "shuffle_rotate_up(v, 3)": lambda lane, size: (lane - 3) % size,
    "shuffle_rotate_down(v, far)": lambda lane, size: (lane + 2) % size,
    "shuffle_xor(v, 3)": lambda lane, size: lane ^ 3,
    "shuffle_xor(v, far)": lambda lane, size: lane ^ 2,
}
AGAIN = ("shuffle_up(v, 1)", "shuffle_down(v, 3)", "shuffle_xor(v, far)")  # of functions that another call above has too
FOR_VECTORS = ("sum(v)", "max(v)", "product(f)", "broadcast_first(v)", "broadcast(v, 2)", "shuffle_up(v, far)")


def reduced(operation, neutral, v, active, size):
    """simd_sum(v) and its like: one value for each group's active lanes."""
    if v.dtype.kind in "iu" and np.isinf(neutral):
        neutral = np.iinfo(v.dtype).max if neutral > 0 else np.iinfo(v.dtype).min
    start = np.array(neutral).astype(v.dtype)
    return np.repeat(operation.reduce(np.where(active, v, start).reshape(-1, size), axis=1, dtype=v.dtype), size), active


def prefix(operation, neutral, inclusive, v, active, size):
    """simd_prefix_…: over the active lanes before this one, and this one too if inclusive."""
    start = v.dtype.type(neutral)
    result = operation.accumulate(np.where(active, v, start).reshape(-1, size), axis=1, dtype=v.dtype)
    if not inclusive:
        result = np.concatenate([np.full((len(result), 1), start), result[:, :-1]], axis=1)
    return result.reshape(-1), active


def moved(source, v, active, size):
    """A shuffle's values, defined where the lane that they come from is active."""
    lanes = np.broadcast_to(source(np.arange(size), size), (v.size // size, size))
    values, on = (np.take_along_axis(a.reshape(-1, size), lanes, axis=1).reshape(-1) for a in (v, active))
    return values, active & on


def broadcast_first(v, active, size):
    """The value of the group's first active lane."""
    return np.repeat(v.reshape(-1, size)[np.arange(v.size // size), active.reshape(-1, size).argmax(1)], size), active


def votes(x, size):
    """The bits of simd_ballot(x) or quad_ballot(x), for each lane."""
    return np.repeat((x.reshape(-1, size).astype(np.uint64) << np.arange(size, dtype=np.uint64)).sum(1), size)


def calls(family: str, size: int, dtype) -> dict[str, tuple]:
    """call → (function of (values, active, size) that returns (expected, where defined), whether it takes factors)."""
    table: dict[str, tuple] = {}
    for name, (operation, neutral) in REDUCTIONS.items():
        if np.dtype(dtype).kind in "iu" or name not in ("and", "or", "xor"):
            products = name == "product"
            argument = "f" if products else "v"
            table[f"{family}{name}({argument})"] = (partial_(reduced, operation, neutral), products)
            if name in ("sum", "product"):
                for which in ("inclusive", "exclusive"):
                    function = partial_(prefix, operation, neutral, which == "inclusive")
                    table[f"{family}prefix_{which}_{name}({argument})"] = (function, products)
    table[f"{family}broadcast_first(v)"] = (broadcast_first, False)
    for call, source in MOVES.items():
        table[family + call.replace("SIZE", str(size))] = (partial_(moved, source), False)
    return table


def votings(family: str, size: int) -> dict[str, tuple]:
    """calls() of the functions that ask what each lane thinks, their answers as int."""
    group = (-1, size)

    def every(active, truth):
        return np.repeat((~active | truth).reshape(group).all(1), size)

    def firsts(active):
        return np.arange(active.size) % size == np.repeat(active.reshape(group).argmax(1), size)

    mask = f"(int){family}vote::vote_t"
    return {
        f"(int){family}all(v > 3)": (lambda v, on, _: (every(on, v > 3), on), False),
        f"(int){family}any(v > 90)": (lambda v, on, _: (~every(on, v <= 90), on), False),
        f"(int){family}is_first()": (lambda v, on, _: (firsts(on), on), False),
        f"{mask}({family}ballot(v < 9))": (lambda v, on, _: (votes(on & (v < 9), size).astype(np.int32), on), False),
        f"{mask}({family}active_threads_mask())": (lambda v, on, _: (votes(on, size).astype(np.int32), on), False),
    }


def partial_(function, *first):
    return lambda v, active, size: function(*first, v, active, size)


def inputs(dtype, components: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values whose sums, and factors whose products, over 32 lanes are exact in this type (unsigned ones may wrap)."""
    rng, shape, info = np.random.default_rng(seed), (components, LANES), np.dtype(dtype)
    if info.kind == "u":
        values, factors = (rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True) for _ in range(2))
        factors |= 1
    else:
        most = {1: 3, 2: 60}.get(info.itemsize, 100)
        values, factors = rng.integers(-most, most + 1, shape), rng.choice([-1, 1], shape)
        twos = rng.integers(0, 32, (components, LANES // 32, 3))
        np.put_along_axis(factors.reshape(components, -1, 32), twos, 2, axis=2)
    return values.astype(dtype), factors.astype(dtype)


def kernel(name: str, width: int, kind: str, table, condition: str, size: int, components: int = 1) -> str:
    """A kernel that writes call k, component c, to y[i + (k · components + c) · LANES] where the condition holds."""
    v = kind if components == 1 else f"{kind}{components}"

    def load(array: str) -> str:
        return f"{v}({', '.join(f'{array}[i + {c} * {LANES}]' for c in range(components))})"

    def store(k: int, call: str) -> str:
        parts = [""] if components == 1 else [f".{c}" for c in "xyzw"[:components]]
        stores = (f"y[i + {(k * components + c) * LANES}] = r{part};" for c, part in enumerate(parts))
        return f"{{ const {v} r = {v}({call}); {' '.join(stores)} }}"

    statements = "\n".join(store(k, call) for k, call in enumerate(table))
    return f"""
    [[max_total_threads_per_threadgroup({width})]]
    kernel void {name}(device const {kind} *x [[buffer(0)]], device const {kind} *factors [[buffer(1)]],
                       device {kind} *y [[buffer(2)]], constant uint &branch [[buffer(3)]],
                       device const ushort *distances [[buffer(4)]],
                       uint i [[thread_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]]) {{
        if (i >= {THREADS}) return;
        const {v} v = {load("x")}, f = {load("factors")};
        const uint lane = simd_lane % {size};
        const ushort far = distances[i];  // the same for the active lanes, wrong in the others
        if ({condition}) {{
            {statements}
        }}
    }}
    """


def check(run, program, name, table, condition, size, dtype, components=1, branch=0):
    """Run one kernel; every call must give what NumPy says where that is defined, and write nothing where inactive."""
    x, factors = inputs(dtype, components)
    i = np.arange(LANES)
    active = condition(i, x[0]) & (i < THREADS)
    assert active.any()
    poison = np.full((len(table), components, LANES), 77, dtype)
    distances = np.where(active, 2, 29).astype(np.uint16)
    got = run(program, THREADS, x, factors, poison, np.uint32([branch]), distances, name=name)[2]
    wrong = []
    with np.errstate(over="ignore"):
        for k, (call, (function, products)) in enumerate(table.items()):
            for c in range(components):
                expected, defined = function((factors if products else x)[c], active, size)
                bad = np.where(active, defined & (got[k, c] != expected), got[k, c] != 77)
                if bad.any():
                    at = bad.argmax()
                    wrong.append(f"{call} component {c}: {bad.sum()} wrong, thread {at}: {got[k, c][at]}, not {expected[at]}")
    assert not wrong, "\n".join(wrong)
