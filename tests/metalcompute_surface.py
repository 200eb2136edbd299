"""metalcompute's surface and nothing else, over whatever device is here: what the engine may use on a Mac.

Names, positional arguments and buffer protocol as in metalcompute 0.2.9. Anything more (an attribute, a keyword, a length, a
wait on a handle) raises, so that code which would only work on the portable device cannot pass.
"""

from __future__ import annotations

import ctypes

import metal


class _Sealed:
    """No attributes but those a class names in `_open`."""

    _open: frozenset[str] = frozenset()
    __slots__ = ("_inner",)

    def __getattribute__(self, name: str):
        kind = type(self)
        if name in object.__getattribute__(self, "_open") or name in ("__class__", "__dict__"):
            return object.__getattribute__(self, name)
        raise AttributeError(f"metalcompute's {kind.__name__} has no attribute {name!r}")


def _inner(sealed):
    return object.__getattribute__(sealed, "_inner")


class Device(_Sealed):
    _open = frozenset({"kernel", "buffer"})

    def __init__(self, index: int = -1, /):
        object.__setattr__(self, "_inner", metal.Device(index))

    def kernel(self, source: str, /) -> Kernel:
        return Kernel(_inner(self).kernel(source))

    def buffer(self, length_or_data, /):
        return _buffer(_inner(self).buffer(length_or_data))


class Kernel(_Sealed):
    _open = frozenset({"function"})

    def __init__(self, inner):
        object.__setattr__(self, "_inner", inner)

    def function(self, name: str, /) -> Function:
        return Function(_inner(self).function(name))


class Function(_Sealed):
    def __init__(self, inner):
        object.__setattr__(self, "_inner", inner)

    def __call__(self, count: int, /, *buffers) -> Run:
        return Run(_inner(self)(count, *(_inner(b) if isinstance(b, ctypes.Array) else b for b in buffers)))


class Run(_Sealed):
    def __init__(self, inner):
        object.__setattr__(self, "_inner", inner)


def _buffer(inner):
    """The device buffer's memory behind a type that speaks the buffer protocol and nothing more.

    A ctypes array shares memory and keeps `inner` alive; its indexing, length and attributes are closed.
    """

    def closed(self, *_):
        raise TypeError("metalcompute's Buffer has no length and no items: use memoryview or numpy.frombuffer")

    def attribute(self, name: str):
        if name == "__class__":
            return object.__getattribute__(self, name)
        raise AttributeError(f"metalcompute's Buffer has no attribute {name!r}")

    size = memoryview(inner).nbytes
    body = {"__getitem__": closed, "__setitem__": closed, "__len__": closed, "__iter__": closed, "__getattribute__": attribute}
    kind = type(ctypes.Array)("Buffer", (ctypes.Array,), {"_type_": ctypes.c_ubyte, "_length_": size, **body})
    made = kind.from_buffer(inner)
    object.__setattr__(made, "_inner", inner)
    return made
