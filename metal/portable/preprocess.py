"""The preprocessor: Metal source with its macros expanded, its conditions decided and its includes in place, as one token list.

A kernel's head may come out of a macro (`instantiate_kernel(…)`), so macros must be gone before kernels are looked for. Every
token keeps the offset it came from; one that a macro made has the offset of the macro's call. Included files are put behind
the source in one text, so an offset alone says which file and line it is (errors.SourceMap).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .conditions import evaluate
from .errors import SourceMap
from .lexer import Token, tokenize, trimmed
from .macros import Macro, Macros

# (name, the path of the file that includes it if it is written in quotes) → (path, text)
Include = Callable[[str, str | None], tuple[str, str] | None]

_OURS = re.compile(
    r"metal_\w+|simd/\w+(\.h)?|TargetConditionals\.h"
)  # what <metal_stdlib> and its parts stand for is always there
_KEPT_PRAGMA = re.compile(r"(unroll|nounroll|clang\s+loop|clang\s+fp|METAL\s+fp)\b")
_CONTRACT = re.compile(r"METAL\s+fp\s+contract\b")  # Metal's spelling of what Clang has; math_mode is opencl.py's
MAX_DEPTH = 64  # of includes in includes
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


class Preprocessor(Macros):
    """Expands one program. `version` is the language's, as 203 for 2.3."""

    def __init__(self, where: SourceMap, version: int, include: Include | None, known: frozenset[str]):
        super().__init__(where)
        self._include, self._known = include, known
        self._once: set[str] = set()
        self._files = [where.locate(0)[0]]  # being read: the program, and the files that include one another
        features = {"__METAL_VERSION__": f"{version // 100}{version % 100}0", "__METAL__": "1", "__METAL_MACOS__": "1"}
        features |= {
            "__METAL_PORTABLE__": "1",
            "__METAL_CPP__": "1",
            "__HAVE_SIMDGROUP_MATRIX__": "1",
            "METAL_FUNC": "inline __attribute__((always_inline))",
        }
        features |= {"__HAVE_BFLOAT__": "1"} if version >= 301 else {}
        for name, text in features.items():
            self.macros[name] = Macro(None, False, tokenize(text))

    def run(self) -> list[Token]:
        """All tokens of the program. Raises SourceError at the first directive that makes no sense."""
        return self._file(self._where.source, 0)

    def _file(self, text: str, base: int) -> list[Token]:
        if text.startswith("\ufeff"):  # the mark of UTF-8 that some editors write
            text = " " + text[1:]
        out: list[Token] = []
        pending: list[Token] = []  # tokens since the last directive: macro calls may span lines, not directives
        # one entry for each open #if: whether its group is taken, whether one has been, whether those around it are taken
        groups: list[list[bool]] = []
        for token in tokenize(text):
            token = Token(token.kind, token.text, token.start + base)
            if token.kind in ("comment", "directive") and _COMMENT.sub("", token.text).find("/*") >= 0:
                self._fail(token.start, "unterminated /* comment: '*/' is missing")
            if token.kind != "directive":
                if not groups or groups[-1][0] or token.kind == "space":
                    pending.append(token)
                continue
            body = token.text.replace("\\\r\n", "   ").replace("\\\n", "  ")
            match = re.match(r"[ \t]*#[ \t]*(\w*)[ \t]*(.*)", body, re.DOTALL)
            assert match is not None
            name, rest, at = match[1], match[2].strip(), token.start + match.start(2)
            if self._conditional(name, rest, groups, token.start):
                continue
            if groups and not groups[-1][0]:
                continue
            if name in ("define", "undef", "include", "import", "pragma"):
                out += self._expand(pending)
                pending = []
                out += self._directive(name, rest, at, token)
            elif name == "error":
                self._fail(token.start, f"#error {rest}")
            elif name not in ("", "line", "warning", "ident") and not name.isdigit():
                self._fail(token.start, f"invalid preprocessing directive '#{name}'")
        if groups:
            self._fail(base + len(text), "unterminated conditional directive: #endif is missing")
        return out + self._expand(pending)

    def _conditional(self, name: str, rest: str, groups: list[list[bool]], at: int) -> bool:
        """Deal with #if and its kin; False if `name` is none of them."""
        if name in ("if", "ifdef", "ifndef"):
            around = not groups or groups[-1][0]
            taken = around and self._condition(name, rest, at)
            groups.append([taken, taken, around])
        elif name in ("elif", "else", "endif"):
            if not groups:
                self._fail(at, f"#{name} without #if")
            taken, done, around = groups[-1]
            if name == "endif":
                groups.pop()
            else:
                now = around and not done and (name == "else" or self._condition("if", rest, at))
                groups[-1] = [now, done or now, around]
        else:
            return False
        return True

    def _condition(self, name: str, rest: str, at: int) -> bool:
        if name != "if":
            found = re.match(r"\w+", rest)
            if found is None:
                self._fail(at, f"#{name} needs a macro's name")
            return self._defined(found[0]) == (name == "ifdef")
        rest = re.sub(r"\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))", lambda m: str(int(self._defined(m[1] or m[2]))), rest)
        rest = re.sub(r"__has_include\s*\(\s*([<\"])([^>\"]*)[>\"]\s*\)", lambda m: str(int(self._finds(m[2], m[1]))), rest)
        tokens = self._expand([Token(t.kind, t.text, at) for t in tokenize(rest)])
        try:
            return evaluate(tokens) != 0
        except ValueError as problem:
            self._fail(at, f"#if: {problem}")

    def _defined(self, name: str) -> bool:
        return name in self.macros or name in self._known

    def _finds(self, name: str, opening: str) -> bool:
        return bool(_OURS.fullmatch(name)) or (
            self._include is not None and self._include(name, self._files[-1] if opening == '"' else None) is not None
        )

    def _directive(self, name: str, rest: str, at: int, token: Token) -> list[Token]:
        if name == "define":
            self._define(rest, at)
        elif name == "undef":
            self.macros.pop(rest.split()[0] if rest else "", None)
        elif name == "pragma":
            if rest.startswith("once"):
                self._once.add(self._files[-1])
                return []
            rest = _CONTRACT.sub("clang fp contract", rest)
            if _KEPT_PRAGMA.match(rest):
                tokens = self._expand([Token(t.kind, t.text, at) for t in tokenize(rest, directives=False)])
                return [Token("directive", f"\n#pragma {''.join(t.text for t in tokens)}\n", token.start)]
        else:
            return self._included(rest, at)
        return []

    def _define(self, rest: str, at: int) -> None:
        head = re.match(r"([A-Za-z_]\w*)(\([^)]*\))?", rest)
        if head is None:
            self._fail(at, "#define needs a macro's name")
        if rest[head.end() : head.end() + 1] == "(":
            self._fail(at, f"#define {head[1]}: ')' is missing after its parameters")
        parameters, variadic = None, False
        if head[2] is not None:
            parameters = [p.strip() for p in head[2][1:-1].split(",") if p.strip()]
            if parameters and parameters[-1].endswith("..."):
                variadic, last = True, parameters.pop()
                parameters.append(last.removesuffix("...").strip() or "__VA_ARGS__")
        self.macros[head[1]] = Macro(parameters, variadic, trimmed(tokenize(rest[head.end() :], directives=False)))

    def _included(self, rest: str, at: int) -> list[Token]:
        if rest[:1] not in ('"', "<"):  # a macro's name
            rest = "".join(t.text for t in self._expand([Token(t.kind, t.text, at) for t in tokenize(rest)]))
        match = re.match(r"([<\"])([^>\"]+)[>\"]", rest)
        if match is None:
            self._fail(at, '#include expects "file" or <file>')
        if _OURS.fullmatch(match[2]):
            return []
        try:
            found = self._include(match[2], self._files[-1] if match[1] == '"' else None) if self._include else None
        except UnicodeDecodeError:
            self._fail(at, f"'{match[2]}' cannot be read: it is not UTF-8 text")
        except OSError as problem:
            self._fail(at, f"'{match[2]}' cannot be read: {problem.strerror}")
        if found is None:
            self._fail(at, f"'{match[2]}' file not found")
        path, text = found
        if path in self._once:
            return []
        if len(self._files) > MAX_DEPTH:
            self._fail(at, f"#include of '{match[2]}' goes more than {MAX_DEPTH} files deep")
        self._files.append(path)
        tokens = self._file(text, self._where.add(path, text))
        self._files.pop()
        return [Token("space", "\n", at), *tokens, Token("space", "\n", at)]
