"""The preprocessor. Source: the C++14 standard's [cpp], which Metal's language is built on. Text in, text out."""

from __future__ import annotations

import doctest
import re

import pytest

from metal.portable import conditions, library
from metal.portable.errors import SourceError, SourceMap
from metal.portable.lexer import tokenize
from metal.portable.preprocess import Preprocessor
from metal.portable.translate import lower


def expanded(source: str, version: int = 203, files: dict[str, str] | None = None) -> str:
    """What is left of a program, white space made single."""
    asked = []

    def include(name, includer):
        asked.append((name, includer))
        return (name, files[name]) if files and name in files else None

    tokens = Preprocessor(SourceMap(source), version, include, library.macros()).run()
    return re.sub(r"\s+", " ", "".join(t.text for t in tokens if t.kind != "comment")).strip()


EXPANDED = {
    "object": ("#define N 4\nint a[N];", "int a[4];"),
    "function": ("#define SQ(x) ((x) * (x))\nSQ(1 + 2)", "((1 + 2) * (1 + 2))"),
    "name alone is no call": ("#define F(x) x\nF; F (1)", "F; 1"),
    "over several lines": ("#define F(x, y) x + y\nF(1,\n  2)", "1 + 2"),
    "arguments in parentheses": ("#define F(x, y) x | y\nF((1, 2), g(3, 4))", "(1, 2) | g(3, 4)"),
    "nested calls": ("#define F(x) (x * 2)\nF(F(F(1)))", "(((1 * 2) * 2) * 2)"),
    "names itself": ("#define x x + 1\nx", "x + 1"),
    "names each other": ("#define a b\n#define b a\na b", "a b"),
    "looked at again with what follows": ("#define G F\n#define F(x) <x>\nG(1)", "<1>"),
    "result called": ("#define PICK() F\n#define F(x) [x]\nPICK()(7)", "[7]"),
    "stringify": ('#define S(x) #x\nS(a  + "b\\n")', '"a + \\"b\\\\n\\""'),
    "stringify does not expand": ("#define N 4\n#define S(x) #x\n#define T(x) S(x)\nS(N) T(N)", '"N" "4"'),
    "paste": ("#define CAT(a, b) a##b\nCAT(x, 1) CAT(1, .5f)", "x1 1.5f"),
    "paste of expanded": ("#define N 4\n#define CAT(a, b) a ## b\n#define X(a, b) CAT(a, b)\nCAT(v, N) X(v, N)", "vN v4"),
    "paste with nothing": ("#define CAT(a, b) a##b\nCAT(, y) CAT(x, )", "y x"),
    "variadic": ("#define V(f, ...) f(__VA_ARGS__)\nV(g, 1, 2) V(g)", "g(1, 2) g()"),
    "variadic comma": ("#define V(f, ...) f(0, ##__VA_ARGS__)\nV(g) V(g, 1, 2)", "g ( 0 ) g ( 0 , 1, 2 )"),
    "named variadic": ("#define V(args...) f(args)\nV(1, 2)", "f(1, 2)"),
    "empty argument": ("#define F(x) [x]\nF()", "[]"),
    "undef": ("#define N 1\n#undef N\nN", "N"),
    "continued lines": ("#define F(x) \\\n  x + \\\n  1\nF(2)", "2 + 1"),
    "comment in a body": ("#define N /* one\n*/ 1 // and only\nN;", "1;"),
    "string is no place for macros": ('#define N 1\n"N" N', '"N" 1'),
    "indented": ("int a;\n\n    #define N 1\n  int b = N;\n\t# if N\n c\n  #endif", "int a; int b = 1; c"),
    "else": ("#if 0\na\n#elif 0\nb\n#else\nc\n#endif", "c"),
    "first true branch": ("#if 0\na\n#elif 1\nb\n#elif 1\nc\n#else\nd\n#endif", "b"),
    "nested in what is left out": ("#if 0\n#if 1\na\n#else\nb\n#endif\n#error no\n#else\nc\n#endif", "c"),
    "ifdef and ifndef": ("#define A\n#ifdef A\na\n#endif\n#ifndef A\nb\n#endif\n#ifdef FLT_MAX\nc\n#endif", "a c"),
    "defined": ("#define A 0\n#if defined(A) && !defined B && (A == 0)\nyes\n#endif", "yes"),
    "unknown names are 0": ("#if UNKNOWN\na\n#else\nb\n#endif", "b"),
    "arithmetic": ("#if (7 / 2 == 3) && (1 << 4) % 5 == 1 && (0x10 >> 2) == 4 && -1 < 0 && (1 ? 0 : 1) == 0\nyes\n#endif", "yes"),
    "macro in a condition": ("#define V(a, b) (a * 100 + b)\n#if V(2, 3) >= 203uL\nyes\n#endif", "yes"),
    "the device itself": ("#ifdef __METAL_PORTABLE__\nhere\n#else\na GPU\n#endif", "here"),
    "version": ("#if __METAL_VERSION__ >= 230\nnew\n#endif\n__METAL_VERSION__", "new 230"),
    "has_include": ("#if __has_include(<metal_stdlib>) && !__has_include(<nothing.h>)\nyes\n#endif", "yes"),
    "pragmas": ("#pragma once\n#pragma clang diagnostic ignored \"x\"\nfor_\n#pragma unroll(4)\n_Pragma(\"x\") y", "for_ #pragma unroll(4) y"),
    "Metal's floating point": ("#pragma METAL fp contract(off)\n#pragma METAL internals : enable\nx", "#pragma clang fp contract(off) x"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPANDED)
def test_is_expanded_as_the_standard_says(name):
    source, expected = EXPANDED[name]
    assert expanded(source) == expected


def test_the_version_decides():
    assert (
        expanded("#if __METAL_VERSION__ >= 310\nbf\n#else\nno\n#endif", 301) == "bf"
        and expanded("__METAL_VERSION__", 301) == "310"
    )


def test_files_are_included_where_they_stand_once_if_they_say_so():
    files = {"a.h": '#pragma once\n#include "b.h"\nint a = B;\n', "b.h": "#ifndef G\n#define G\n#define B 2\nint b;\n#endif\n"}
    assert expanded('#include "a.h"\n#include "b.h"\n#include <a.h>\nB', files=files) == "int b; int a = 2; 2"


def test_a_file_that_includes_itself_ends_in_words():
    with pytest.raises(SourceError, match="64 files deep"):
        expanded('#include "a.h"', files={"a.h": '#include "a.h"\n'})


def test_an_error_in_an_included_file_is_at_its_own_line():
    def include(name, includer):
        return "lib/" + name, "float g() {\n  return 1\n}\n"

    from metal.portable.frontend import check

    with pytest.raises(SourceError, match=r"^lib/h\.h:2:\d+: error: expected ';'"):
        check(lower('#include "h.h"\nkernel void f(device float *x [[buffer(0)]]) { x[0] = g(); }', include=include))


def test_a_quoted_include_is_told_who_asks():
    asked = []

    def include(name, includer):
        asked.append((name, includer))
        return f"dir/{name}", '#include "two.h"\n' if name == "one.h" else ""

    lower('#include "one.h"\n#include <three.h>\n', "main.metal", include=include)
    assert asked == [("one.h", "main.metal"), ("two.h", "dir/one.h"), ("three.h", None)]


@pytest.mark.parametrize("text", ["1 +", "(1", "1 ? 2", "1 2", "1 / 0", "f(1)", "1.5", "", "1 << -1", "@"])
def test_a_condition_that_is_none_is_said_in_words(text):
    with pytest.raises(ValueError, match=r"\w"):
        conditions.evaluate(tokenize(text))


def test_the_worked_example_is_true():
    assert doctest.testmod(conditions).failed == 0 and doctest.testmod(conditions).attempted
