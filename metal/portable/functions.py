"""Functions handed to templates: `template <void (*f)(thread float &)> void each(…)`, used as `each<twice>(…)`.

OpenCL knows no pointers to functions, not even as template arguments. It knows types: so each function that is handed over
becomes one, `struct fl_fn1_twice` with a static `fl_call` that calls it, put before the function or kernel that hands it over;
the parameter becomes `typename f`, and its calls `f::fl_call(…)`. What the function must look like stays a condition, a last
parameter `fl_takes<void(thread float &), f> = 0`, as overloads may differ in nothing else.
"""

from __future__ import annotations

import re

from .lexer import Cursor, Token, tokenize, trimmed
from .strict import VECTORS

_TYPES = {base.rstrip("2") for base in VECTORS if base.endswith("2")} | VECTORS | {"bfloat", "void", "true", "false", "sizeof"}


def as_types(tokens: list[Token]) -> tuple[list[Token], dict[str, str]]:
    """The program with a type for every function that is handed to a template, and what each type's name stands for."""
    reader = _Functions(tokens)
    return (reader.run() if reader.takes else tokens), reader.spelled


class _Template:
    """A template's head [first, opening … closing], what it declares (up to token `last`), which parameters are functions."""

    def __init__(self, c: Cursor, opening: int, types: dict[str, bool]):
        self.opening, self.closing = opening, c.match_angle(opening)
        self.parameters = c.split(opening + 1, self.closing)
        self.names: list[str] = []
        self.functions: dict[
            int, tuple[str, list[Token] | None]
        ] = {}  # index → name, and what it must look like if it is known
        for n, (a, b) in enumerate(self.parameters):
            end = next((i for i in range(a, b) if c.text(i) == "="), b)
            words = trimmed(c.tokens[a:end])
            plain = [t for t in words if t.kind != "space"]
            star = next((i for i in range(len(plain) - 3) if plain[i].text == "(" and plain[i + 1].text in ("*", "&")), None)
            if star is not None and plain[star + 3].text == ")":
                name = plain[star + 2].text
                at = next(i for i, t in enumerate(words) if t is plain[star])
                behind = next(i for i, t in enumerate(words) if t is plain[star + 3]) + 1
                self.functions[n] = name, [*words[:at], *words[behind:]]
            elif len(plain) == 2 and plain[0].text in types:
                name = plain[1].text
                self.functions[n] = name, plain[:1] if types[plain[0].text] else None
            else:
                name = plain[-1].text if plain else ""
            self.names.append(name)
        self._declared(c)

    def _declared(self, c: Cursor) -> None:
        self.name, self.kernel, self.last = "", False, len(c.tokens)
        i = c.after(self.closing)
        head = c.text(i)
        while i < len(c.tokens) and c.text(i) not in ("{", ";"):
            if c.text(i) == "(" and not self.name:
                self.name = c.text(c.before(i))
            self.kernel |= c.text(i) == "kernel"
            if head in ("struct", "class") and c.text(c.before(i)) == head:
                self.name = c.text(i)
            i = c.after(
                c.match(i) if c.text(i) in ("(", "[[") and not (c.text(i) == "[[" and c.text(c.after(i)) == "kernel") else i
            )
        self.last = c.match(i) if c.text(i) == "{" else i


class _Functions:
    def __init__(self, tokens: list[Token]):
        self.tokens, self.c = tokens, Cursor(tokens)
        self.types: dict[
            str, bool
        ] = {}  # names of function types → whether they can be written (decltype of a template cannot)
        self.spelled: dict[str, str] = {}
        self.templates: dict[int, _Template] = {}  # by the token `template`
        self.takes: dict[str, set[int]] = {}  # template → which of its parameters are functions
        self.out: list[Token] = []
        self.mark, self.braces = 0, [""]  # where the declaration being read begins in `out`; the namespaces around it
        self.known: dict[tuple[str, ...], str] = {}
        self._collect()

    def _collect(self) -> None:
        c = self.c
        for i, token in enumerate(self.tokens):
            if token.text == "typedef" and token.kind == "name":
                self._type(i)
        for i, token in enumerate(self.tokens):
            if token.text == "template" and token.kind == "name" and c.text(c.after(i)) == "<":
                found = self.templates[i] = _Template(c, c.after(i), self.types)
                if found.functions:
                    self.takes.setdefault(found.name, set()).update(found.functions)

    def _type(self, i: int) -> None:
        """`typedef void (f_t)(int);`, `typedef void (*f_t)(int);` and `typedef decltype(f<int>) f_t;`"""
        c, end = self.c, i
        while end < len(self.tokens) and c.text(end) not in (";", "{"):
            if c.text(end) == "(":
                inside, close = c.after(end), c.match(end)
                inside = c.after(inside) if c.text(inside) == "*" else inside
                if c.after(inside) == close and c.text(c.after(close)) == "(":
                    self.types[c.text(inside)] = True
                elif c.text(c.before(end)) == "decltype" and c.text(c.after(inside)) == "<":
                    self.types[c.text(c.after(close))] = False
                end = close
            end += 1

    # --- the program, rewritten -------------------------------------------------------------------------------------------
    def run(self) -> list[Token]:
        i, within = 0, list[_Template]()
        while i < len(self.tokens):
            token = self.tokens[i]
            within = [t for t in within if i <= t.last]
            if i in self.templates:
                within.append(self.templates[i])
                i = self._head(i, within)
                continue
            if token.text == "typedef" and token.kind == "name":
                i = self._typedef(i)
                continue
            self._place(i)
            i = self._token(i, within, self.out)
        return self.out

    def _place(self, i: int) -> None:
        """Keep `mark` at the start of the declaration that token `i` belongs to."""
        c, text = self.c, self.tokens[i].text
        if text == "{":
            first, second = c.before(i), c.before(c.before(i))
            space = "namespace" in (c.text(first), c.text(second))
            self.braces.append(c.text(first) if space else "{")
        elif text == "}" and len(self.braces) > 1:
            self.braces.pop()
        if text in ("{", "}", ";") and "{" not in self.braces:
            self.mark = len(self.out) + 1

    def _token(self, i: int, within: list[_Template], out: list[Token]) -> int:
        """One token on its way to `out`, or a template's name with its arguments. Returns the token after it."""
        c, token = self.c, self.tokens[i]
        if token.kind == "name" and c.text(c.after(i)) == "<" and token.text in self.takes:
            return self._arguments(i, within, out)
        first, star, end = i, c.after(i), i
        if token.text == "(" and c.text(star) == "*" and c.text(c.after(c.after(star))) == ")":  # (*f)(…)
            first, end = c.after(star), c.after(c.after(star))
        called = any(c.text(first) == name for t in within for name, _ in t.functions.values())
        if called and c.text(c.after(end)) == "(" and c.text(c.before(i)) not in (".", "->", "::"):
            out += [self.tokens[first], *_made("::fl_call", token.start)]
            return end + 1
        out.append(token)
        return i + 1

    def _arguments(self, i: int, within: list[_Template], out: list[Token]) -> int:
        c, opening = self.c, self.c.after(i)
        close = c.match_angle(opening)
        if close >= len(self.tokens):
            out.append(self.tokens[i])
            return i + 1
        out += self.tokens[i : opening + 1]
        for n, (a, b) in enumerate(c.split(opening + 1, close)):
            given, j = list[Token](), a
            while j < b:
                j = self._token(j, within, given)
            if n in self.takes[self.tokens[i].text]:
                given = self._handed(given, within)
            out += [*_made(",", self.tokens[a].start), *given] if n else given
        out.append(self.tokens[close])
        return close + 1

    def _handed(self, given: list[Token], within: list[_Template]) -> list[Token]:
        """The type of a function that is handed over; what is a type already stays."""
        words = trimmed(given)
        words = trimmed(words[1:]) if words and words[0].text == "&" else words
        names = {t.text for t in words if t.kind == "name"}
        passed = {name for t in within for name, _ in t.functions.values()}
        if not words or words[0].kind != "name" or words[0].text in _TYPES or words[0].text in self.spelled:
            return given
        if len(words) == 1 and names & passed:
            return given
        start, text = words[0].start, "".join(t.text for t in words)
        # what depends on parameters of the template around becomes a template itself
        parameters = [(self._source(*t.parameters[n]), t, n) for t in within for n, name in enumerate(t.names) if name in names]
        outer = [f"typename {t.names[n]}" if n in t.functions else text.split("=")[0] for text, t, n in parameters]
        key = (*self.braces, text, *outer)
        if key not in self.known:
            made = self.known[key] = f"fl_fn{len(self.known) + 1}_{re.sub(r'[^0-9A-Za-z_].*', '', text, flags=re.DOTALL)}"
            self.spelled[made] = text
            head = f"template <{', '.join(outer)}> " if outer else ""
            call = [*words, *_made("(fl_a...)", start)]
            struct = (
                f"{head}struct {made} {{ template <typename... fl_A> static inline auto fl_call(fl_A &&...fl_a) -> decltype("
            )
            struct_tokens = [*_made(struct, start), *call, *_made(") { return ", start), *call, *_made("; } };\n", start)]
            self.out[self.mark : self.mark] = struct_tokens
            self.mark += len(struct_tokens)
        used = f"<{', '.join(t.names[n] for _, t, n in parameters)}>" if outer else ""
        return _made(self.known[key] + used, start)

    def _head(self, i: int, within: list[_Template]) -> int:
        """A template's parameters, those that are functions as types. Returns the token after its `>`."""
        template = within[-1]
        start, conditions = self.tokens[i].start, list[Token]()
        head = list(self.tokens[i : template.opening + 1])
        for n, (a, b) in enumerate(template.parameters):
            head += _made(",", start) if n else []
            if n not in template.functions:
                head += self.tokens[a:b]
                continue
            name, looks = template.functions[n]
            head += _made(f"typename {name}", start)
            equals = next((j for j in range(a, b) if self.c.text(j) == "="), None)
            if equals is not None:
                head += [*_made(" = ", start), *self._handed(self.tokens[equals + 1 : b], within[:-1])]
            if looks is not None and not template.kernel and template.name:
                conditions += [*_made(", fl_takes<", start), *looks, *_made(f", {name}> = 0", start)]
        self.out += [*head, *conditions, self.tokens[template.closing]]
        return template.closing + 1

    def _typedef(self, i: int) -> int:
        """A type of a function, without the `*` of a pointer; the type of a template is left out."""
        c, end = self.c, i
        while end < len(self.tokens) and c.text(end) not in (";", "{"):
            end = c.match(end) + 1 if c.text(end) == "(" else end + 1
        words = self.tokens[i : end + 1]
        name = next((t.text for t in words if t.text in self.types), None)
        opening = next((j for j in range(i, end) if c.text(j) == "("), end)
        if name is not None and not self.types[name] and c.text(c.after(opening)) in self.takes:
            words = [t for t in words if t.kind == "space"]
        elif name is not None and self.types[name]:
            words = [t for j, t in enumerate(words, i) if not (t.text == "*" and c.text(c.after(j)) == name)]
        else:
            self.out.append(self.tokens[i])
            return i + 1
        self.out += words
        self.mark = len(self.out) if "{" not in self.braces else self.mark
        return end + 1

    def _source(self, a: int, b: int) -> str:
        return "".join(t.text for t in trimmed(self.tokens[a:b]))


def _made(text: str, start: int) -> list[Token]:
    """Tokens of our own, at an offset of the source."""
    return [Token(t.kind, t.text, start) for t in tokenize(text, directives=False)]
