"""The preprocessor: Metal source with its macros expanded, its conditions decided and its includes in place, as one token list.

A kernel's head may come out of a macro (`instantiate_kernel(…)`), so macros must be gone before kernels are looked for. Every
token keeps the offset it came from; one that a macro made has the offset of the macro's call. Included files are put behind
the source in one text, so an offset alone says which file and line it is (errors.SourceMap).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from .conditions import evaluate
from .errors import SourceError, SourceMap
from .lexer import Token, tokenize, trimmed

# (name, the path of the file that includes it if it is written in quotes) → (path, text)
Include = Callable[[str, str | None], tuple[str, str] | None]

_OURS = re.compile(
    r"metal_\w+|simd/\w+(\.h)?|TargetConditionals\.h"
)  # what <metal_stdlib> and its parts stand for is always there
_KEPT_PRAGMA = re.compile(r"(unroll|nounroll|clang\s+loop|clang\s+fp|METAL\s+fp)\b")
_CONTRACT = re.compile(r"METAL\s+fp\s+contract\b")  # Metal's spelling of what Clang has; math_mode is opencl.py's
MAX_DEPTH = 64  # of includes in includes


class Macro(NamedTuple):
    parameters: list[str] | None  # None: an object-like macro
    variadic: bool
    body: list[Token]


class Preprocessor:
    """Expands one program. `version` is the language's, as 203 for 2.3."""

    def __init__(self, where: SourceMap, version: int, include: Include | None, known: frozenset[str]):
        self._where, self._include, self._known = where, include, known
        self._once: set[str] = set()
        self._files = [where.locate(0)[0]]  # being read: the program, and the files that include one another
        self.macros: dict[str, Macro] = {}
        features = {"__METAL_VERSION__": f"{version // 100}{version % 100}0", "__METAL__": "1", "__METAL_MACOS__": "1"}
        features |= {
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

    def _fail(self, offset: int, text: str) -> NoReturn:
        raise SourceError(self._where, [(offset, text)])

    # --- directives -----------------------------------------------------------------------------------------------------
    def _file(self, text: str, base: int) -> list[Token]:
        out: list[Token] = []
        pending: list[Token] = []  # tokens since the last directive: macro calls may span lines, not directives
        # one entry for each open #if: whether its group is taken, whether one has been, whether those around it are taken
        groups: list[list[bool]] = []
        for token in tokenize(text):
            token = Token(token.kind, token.text, token.start + base)
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
        parameters, variadic = None, False
        if head[2] is not None:
            parameters = [p.strip() for p in head[2][1:-1].split(",") if p.strip()]
            if parameters and parameters[-1].endswith("..."):
                variadic, last = True, parameters.pop()
                parameters.append(last.removesuffix("...").strip() or "__VA_ARGS__")
        self.macros[head[1]] = Macro(parameters, variadic, trimmed(tokenize(rest[head.end() :], directives=False)))

    def _included(self, rest: str, at: int) -> list[Token]:
        match = re.match(r"([<\"])([^>\"]+)[>\"]", rest)
        if match is None:
            self._fail(at, '#include expects "file" or <file>')
        if _OURS.fullmatch(match[2]):
            return []
        found = self._include(match[2], self._files[-1] if match[1] == '"' else None) if self._include else None
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

    # --- macros ---------------------------------------------------------------------------------------------------------
    def _expand(self, tokens: list[Token], active: frozenset[str] = frozenset()) -> list[Token]:
        """`tokens` with every macro call replaced; what it gives is looked at again together with what follows."""
        if not any(t.kind == "name" and (t.text in self.macros or t.text == "_Pragma") for t in tokens):
            return tokens
        out: list[Token] = []
        stack = tokens[::-1]  # what is still to be read, the next token last
        hidden = set(active)
        while stack:
            token = stack.pop()
            if token.kind == "end":  # of what a macro gave: from here on it may be called again
                hidden.discard(token.text)
                continue
            macro = self.macros.get(token.text) if token.kind == "name" else None
            if token.kind == "name" and token.text == "_Pragma":
                self._arguments(stack, hidden)
                continue
            if macro is None or token.text in hidden:
                out.append(Token("painted", token.text, token.start) if macro is not None else token)
                continue
            given: list[list[Token]] | None = []
            if macro.parameters is not None:
                given = self._arguments(stack, hidden)
                if given is None:  # its name alone is no call
                    out.append(token)
                    continue
            assert given is not None
            stack.append(Token("end", token.text, 0))
            hidden.add(token.text)
            stack += self._call(token, macro, given, frozenset(hidden))[::-1]
        return [Token("name", t.text, t.start) if t.kind == "painted" and not active else t for t in out]

    def _arguments(self, stack: list[Token], hidden: set[str]) -> list[list[Token]] | None:
        """The arguments of a call, taken off the stack; None, and nothing taken, if no parenthesis follows."""
        i = len(stack) - 1
        while i >= 0 and stack[i].kind in ("space", "comment", "end"):
            i -= 1
        if i < 0 or stack[i].text != "(":
            return None
        opening, depth, found = stack[i], 1, [[]]  # type: ignore[var-annotated]
        while len(stack) > i:
            skipped = stack.pop()
            if skipped.kind == "end":
                hidden.discard(skipped.text)
        while stack:
            token = stack.pop()
            if token.kind == "end":
                hidden.discard(token.text)
                continue
            depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "punct" else 0
            if depth == 0:
                return found
            if token.text == "," and depth == 1 and token.kind == "punct":
                found.append([])
            else:
                found[-1].append(token)
        self._fail(opening.start, "unterminated call of a macro: ')' is missing")

    def _call(self, at: Token, macro: Macro, given: list[list[Token]], hidden: frozenset[str]) -> list[Token]:
        """What the macro's body becomes with these arguments; every token at the call's offset."""
        bound = self._bind(at, macro, given)
        outer = (hidden - {at.text}) | {"\0"}  # never empty: what is painted stays so until the very end
        body = [t for t in macro.body if t.kind != "space"] if any(t.text in ("#", "##") for t in macro.body) else macro.body
        out: list[Token] = []
        i, paste = 0, False
        while i < len(body):
            token, following = body[i], body[i + 1].text if i + 1 < len(body) else ""
            i += 1
            if token.text == "##":
                paste = True
                continue
            if token.text == "#" and macro.parameters is not None and following in bound:
                text = "".join(t.text for t in trimmed(bound[following])).replace("\\", "\\\\").replace('"', '\\"')
                piece, i = [Token("string", f'"{text}"', at.start)], i + 1
            elif token.kind == "name" and token.text in bound:
                piece = trimmed(bound[token.text])
                if paste and out and out[-1].text == "," and macro.variadic and token.text == (macro.parameters or [""])[-1]:
                    paste = False  # `, ##__VA_ARGS__`: the comma goes where there are no more arguments
                    out = out[:-1] if not piece else out
                if not paste and following != "##":
                    piece = self._expand(piece, outer)
            else:
                piece = [token]
            if paste and out and piece:
                piece = [*tokenize(out.pop().text + piece[0].text, directives=False), *piece[1:]]
            elif out and piece and len(body) != len(macro.body):  # their spaces were taken out
                out.append(Token("space", " ", at.start))
            paste = paste and not piece
            out += piece
        return [Token(t.kind, t.text, at.start) for t in out]

    def _bind(self, at: Token, macro: Macro, given: list[list[Token]]) -> dict[str, list[Token]]:
        names = macro.parameters or []
        if macro.variadic:
            fixed = len(names) - 1
            rest: list[Token] = []
            for n, argument in enumerate(given[fixed:]):
                rest += ([Token("punct", ",", at.start)] if n else []) + argument
            given = [*given[:fixed], rest]
        elif names == [] and len(given) == 1 and not trimmed(given[0]):
            given = []
        if len(given) != len(names):
            self._fail(at.start, f"macro '{at.text}' takes {len(names)} arguments, {len(given)} given")
        return dict(zip(names, given, strict=True))
