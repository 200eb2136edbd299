"""From token bytes to the text a person sees: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """Passes text on until one of `stops` appears, which may span pieces. Text that may begin a stop string is held back.

    >>> gate = StopText(["END"])
    >>> gate.feed("one E"), gate.feed("ND two"), gate.stopped
    ('one ', '', True)
    """

    def __init__(self, stops: Sequence[str]):
        self._stops = [s for s in stops if s]
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """The text that is certain to stand before any stop string."""
        if self.stopped:
            return ""
        self._held += text
        found = [i for i in (self._held.find(s) for s in self._stops) if i >= 0]
        if found:
            self.stopped = True
            out, self._held = self._held[: min(found)], ""
            return out
        keep = max((n for s in self._stops for n in range(1, len(s)) if self._held.endswith(s[:n])), default=0)
        cut = len(self._held) - keep
        out, self._held = self._held[:cut], self._held[cut:]
        return out

    def flush(self) -> str:
        """What was held back, once no more text comes."""
        out, self._held = ("" if self.stopped else self._held), ""
        return out
