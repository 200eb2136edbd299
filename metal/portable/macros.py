"""Macros: their calls in a list of tokens replaced by what they give, as C's preprocessor does it."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from .errors import SourceError, SourceMap
from .lexer import Token, tokenize, trimmed

MAX_TOKENS = 5_000_000  # that macros may give, all in all: one that doubles itself over and over would eat the memory


class Macro(NamedTuple):
    parameters: list[str] | None  # None: an object-like macro
    variadic: bool
    body: list[Token]


class Macros:
    """The macros that are defined, and how their calls are replaced."""

    def __init__(self, where: SourceMap):
        self._where = where
        self.macros: dict[str, Macro] = {}
        self._made = 0

    def _fail(self, offset: int, text: str) -> NoReturn:
        raise SourceError(self._where, [(offset, text)])

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
            self._made += len(macro.body)
            if self._made > MAX_TOKENS:
                self._fail(token.start, f"macros expand to more than {MAX_TOKENS:,} tokens")
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
