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
    r"|atom_\w+|atomic_(add|sub|inc|dec|xchg|cmpxchg|min|max|and|or|xor|init|work_item_fence|flag_\w+)"
)
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
    r"a(cos|sin|tan|tan2)pi|cbrt|erfc?|expm1|hypot|lgamma(_r)?|log1p|logb|mad|m(ax|in)mag|nan|nextafter|pown|remainder|remquo"
    r"|rootn|tgamma|half_(cos|divide|exp|exp2|exp10|log|log2|log10|powr|recip|rsqrt|sin|sqrt|tan)|abs_diff|(add|sub|mad)_sat"
    r"|(mad|mul)_hi|upsample|bit_reverse|bitfield_\w+|bitselect|degrees|radians|is(not)?equal|is(greater|less)(equal)?"
    r"|islessgreater|fast_(distance|length|normalize)|shuffle2?|vec_step|async_\w+|prefetch|printf"
)
_MACRO = re.compile(r"#\s*define\s+(\w+)\(")


# what came with a later version of the language → that version
_LATER = {
    **{name: 302 for name in ("atomic_thread_fence", "thread_scope", "memory_order_acquire", "memory_order_release")},
    **{name: 302 for name in ("memory_order_acq_rel", "memory_order_seq_cst")},
    **{name: 301 for name in ("bfloat", "bfloat2", "bfloat3", "bfloat4", "simdgroup_bfloat8x8", "nextafter")},
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
        if text in _LEFT_OUT:
            found.append((offset, _LEFT_OUT[text]))
        elif text == "std" and c.text(c.after(i)) == "::":
            found.append((offset, "'std' is not supported in Metal: its library is namespace metal"))
        elif _LATER.get(text, 0) > version and text not in own:
            needs, asked = (f"{v // 100}.{v % 100}" for v in (_LATER[text], version))
            found.append((offset, f"'{text}' came with Metal {needs}; this is compiled as {asked}"))
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
    if found:
        raise SourceError(where, found)


def _is_type(c: Cursor, i: int) -> bool:
    return i >= 0 and c.tokens[i].kind == "name" and c.text(i) not in ("return", "else", "do", "case")
