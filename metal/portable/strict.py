"""What Metal refuses and OpenCL would take, as far as single tokens show it. What needs types is refused in frontend.py."""

from __future__ import annotations

import re

from .errors import SourceError, SourceMap
from .lexer import Cursor, Token

VECTORS = {
    f"{base}{n}"
    for base in ("bool", "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "float")
    for n in (2, 3, 4)
}
# What OpenCL has and Metal has not, and what Metal leaves out of C++: refused unless the program declares such a name itself
_OPENCL = re.compile(
    r"get_(global|local|group|sub_group|num_groups|num_sub_groups|work_dim|enqueued|max_sub_group)\w*|(work|sub)_group_\w+"
    r"|intel_sub_group_\w+|native_\w+|v(load|store)_?\w+|convert_\w+|__(global|local|constant|private|generic|kernel)"
    r"|(u?char|u?short|u?int|u?long|half|float)(8|16)"
    r"|CLK_\w+|addrspace_cast|atom_\w+|atomic_(add|sub|inc|dec|xchg|cmpxchg|min|max|and|or|xor|init|work_item_fence|flag_\w+)"
)
# The compiler's own: machine code, and what ends the process that runs it
_COMPILERS = re.compile(r"__asm(__)?|__(builtin|sync|atomic|c11|opencl|clang)_\w+")
_FUNCTION = re.compile(r"get_|work_|sub_|intel_|native_|vload|vstore|convert_|atom")
_LEFT_OUT = {
    **{f"double{n}": "'double' is not supported in Metal" for n in ("", "2", "3", "4")},
    **{
        w: f"'{w}' is not supported in Metal"
        for w in ("goto", "virtual", "dynamic_cast", "typeid", "new", "delete", "throw", "try", "catch", "asm", "thread_local")
    },
}

# Names that a program may well use for something of its own: refused where they are called and nothing of its own is meant
_CALLED = re.compile(
    r"a(cos|sin|tan|tan2)pi|cbrt|erfc?|expm1|hypot|lgamma(_r)?|log1p|logb|mad|m(ax|in)mag|nan|pown|remainder|remquo"
    r"|rootn|tgamma|half_(cos|divide|exp|exp2|exp10|log|log2|log10|powr|recip|rsqrt|sin|sqrt|tan)|abs_diff|(add|sub|mad)_sat"
    r"|(mad|mul)_hi|upsample|bit_reverse|bitfield_\w+|bitselect|degrees|radians|is(not)?equal|is(greater|less)(equal)?"
    r"|barrier|(read_|write_)?mem_fence|to_(global|local|private)|islessgreater|fast_(distance|length|normalize)|shuffle2?|vec_step|async_\w+|prefetch|printf"
)
_LONG = re.compile(r"(?!0[xX])[0-9.][0-9.eE'+-]*[.eE][0-9.eE'+-]*[lL]|0[xX].*[pP].*[lL]")
_BEFORE_A_VALUE = {"=", "(", ",", "return", "&&", "||", "!", "{", "?", ":", "==", "!=", "<"}
_MACRO = re.compile(r"#\s*define\s+(\w+)\(")


# what came with a later version of the language → that version
_LATER = {
    **{name: 302 for name in ("atomic_thread_fence", "thread_scope", "memory_order_acquire", "memory_order_release")},
    **{name: 302 for name in ("memory_order_acq_rel", "memory_order_seq_cst")},
    **{f"{kind}bfloat{n}": 301 for kind in ("", "packed_") for n in ("", "2", "3", "4")},
    **{name: 301 for name in ("simdgroup_bfloat8x8", "nextafter")},
    **{name: 300 for name in ("atomic_float",)},
    **{name: 204 for name in ("atomic_ulong", "simd_shuffle_and_fill_up", "simd_shuffle_and_fill_down")},
    **{name: 204 for name in ("quad_shuffle_and_fill_up", "quad_shuffle_and_fill_down")},
}


def refuse(tokens: list[Token], where: SourceMap, version: int) -> None:
    """Raises SourceError with everything in the program that this version of Metal has no such thing as, at its place."""
    c, found = Cursor(tokens), []
    names = [i for i, token in enumerate(tokens) if token.kind == "name"]
    # `float mad(…`: a name after a type and before a parenthesis is the program's own function
    own = {c.text(i) for i in names if c.text(c.after(i)) == "(" and _is_type(c, c.before(i))}
    own |= {match[1] for token in tokens if token.kind == "directive" and (match := _MACRO.match(token.text.lstrip()))}
    for i in names:
        text, offset = c.text(i), tokens[i].start
        if text in _LEFT_OUT and not (text == "delete" and c.text(c.before(i)) == "="):
            found.append((offset, _LEFT_OUT[text]))
        elif _COMPILERS.fullmatch(text):
            found.append((offset, f"'{text}' is not supported in Metal"))
        elif text == "std" and (
            c.text(c.after(i)) == "::" or (c.text(c.before(i)) == "namespace" and c.text(c.after(i)) == ";")
        ):
            found.append((offset, "'std' is not supported in Metal: its library is namespace metal"))
        elif _since(c, i) > version and text not in own:
            found.append((offset, _came(text, _since(c, i), version)))
        elif text == "noexcept" and c.text(c.before(i)) in _BEFORE_A_VALUE:
            found.append((offset, "the 'noexcept' operator is not supported in Metal"))
        elif text == "main" and c.text(c.after(i)) == "(" and text in own:
            found.append((offset, "a function may not be named 'main' in Metal"))
        elif text == "template" and c.text(c.after(i)) == "<":
            parameters = c.split(c.after(i) + 1, c.match_angle(c.after(i)))
            autos = [c.skip(a) for a, _ in parameters if c.text(c.skip(a)) == "auto"]
            found += [(tokens[a].start, "'auto' is no template parameter in Metal, which is C++14") for a in autos]
        elif (
            _OPENCL.fullmatch(text)
            and text not in own
            and c.text(c.before(i)) not in (".", "->")
            and (c.text(c.after(i)) == "(" or not _FUNCTION.match(text))
        ):
            found.append((offset, f"'{text}' is OpenCL's, Metal has no such name"))
        elif (
            _CALLED.fullmatch(text) and text not in own and c.text(c.before(i)) not in (".", "->") and c.text(c.after(i)) == "("
        ):
            found.append((offset, f"use of undeclared identifier '{text}': it is OpenCL's, Metal has no such function"))
        elif text in VECTORS and c.text(c.before(i)) == "(" and c.text(c.after(i)) == ")":
            opening = c.after(c.after(i))
            if c.text(opening) == "(" and len(c.split(opening + 1, c.match(opening), angles=False)) > 1:
                found.append((tokens[c.before(i)].start, f"a vector is written {text}(…) in Metal, not ({text})(…)"))
    for token in tokens:
        if token.kind == "number" and _LONG.fullmatch(token.text):
            found.append((token.start, "'long double' is not supported in Metal"))
        elif token.kind == "number" and token.text[-2:].lower() == "bf" and token.text[:2].lower() != "0x" and version < 301:
            found.append((token.start, _came("bf", 301, version)))
    if found:
        raise SourceError(where, sorted(found))


def _since(c: Cursor, i: int) -> int:
    """The version with which a name came, as far as the tokens around it show what it means."""
    text, after = c.text(i), c.after(i)
    if text == "atomic" and c.text(after) == "<":
        return {"float": 300, "ulong": 204}.get(c.text(c.after(after)), 0)
    if text == "stitchable":
        return 204 if c.text(c.before(i)) in ("[[", ",") else 0
    return _LATER.get(text, 0)


def _came(text: str, needs: int, version: int) -> str:
    since, asked = (f"{v // 100}.{v % 100}" for v in (needs, version))
    return f"'{text}' came with Metal {since}; this is compiled as {asked}"


def _is_type(c: Cursor, i: int) -> bool:
    return i >= 0 and c.tokens[i].kind == "name" and c.text(i) not in ("return", "else", "do", "case")
