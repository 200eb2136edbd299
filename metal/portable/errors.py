"""The one exception of the Metal API, and how a finding in a source file is worded."""

from __future__ import annotations

import re


class error(Exception):  # noqa: N801, N818 - the name is metalcompute's own
    """What metalcompute raises as `metalcompute.error`: a source that does not compile, an unknown function, a bad buffer."""


_LINE_DIRECTIVE = re.compile(r'^[ \t]*#[ \t]*line[ \t]+(\d+)(?:[ \t]+"([^"\n]*)")?[ \t]*$', re.MULTILINE)


class SourceMap:
    """Offsets of a Metal source → file, line, column and the line's text, honouring `#line` directives.

    `source` is the program's own text with the files that it includes behind it, in the order in which they were met.
    """

    def __init__(self, source: str, file: str = "program_source"):
        self.source = ""
        self._marks: list[tuple[int, int, str]] = []  # from this offset on: line, file
        self.add(file, source)

    def add(self, file: str, text: str) -> int:
        """Put a file's text behind the others; the offset at which it begins."""
        base = len(self.source) + 1 if self.source else 0
        self.source += f"\n{text}" if base else text
        self._marks.append((base, 1, file))
        for match in _LINE_DIRECTIVE.finditer(text):
            name = match.group(2) or self._marks[-1][2]
            self._marks.append((base + match.end() + 1, int(match.group(1)), name))
        return base

    def locate(self, offset: int) -> tuple[str, int, int, str]:
        """(file, line, column, text of the line), line and column from 1, for a character offset."""
        offset = max(0, min(offset, len(self.source)))
        start, first, file = [mark for mark in self._marks if mark[0] <= offset][-1]
        line = first + self.source.count("\n", start, offset)
        begin = self.source.rfind("\n", 0, offset) + 1
        stop = self.source.find("\n", offset)
        text = self.source[begin : stop if stop >= 0 else len(self.source)]
        return file, line, offset - begin + 1, text

    def message(self, offset: int, text: str, kind: str = "error") -> str:
        """One finding in the form compilers use: `file:line:col: error: text`, the line, and a caret under the column."""
        file, line, column, source = self.locate(offset)
        pad = "".join("\t" if c == "\t" else " " for c in source[: column - 1])
        return f"{file}:{line}:{column}: {kind}: {text}\n{source}\n{pad}^"


class SourceError(error):
    """A Metal source was refused. `offset` is where, in characters of the source that was given."""

    def __init__(self, where: SourceMap, findings: list[tuple[int, str]]):
        self.findings = [(*where.locate(offset)[:3], text) for offset, text in findings]
        super().__init__("\n".join(where.message(offset, text) for offset, text in findings))
