"""Stop strings: text of one row, given out piece by piece up to the first of them."""

from __future__ import annotations

from collections.abc import Sequence


class StoppedText:
    """Gives text out as soon as it cannot be part of a stop string; ends before the first one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._rest = ""
        self.tokens = 0
        """Pieces taken up to the one that completed a stop string."""
        self.is_stopped = False

    def add(self, piece: str) -> str:
        """Take the text of one token; returns what may be given out now. Nothing after a stop string."""
        if self.is_stopped:
            return ""
        self.tokens += 1
        text = self._rest + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_stopped, self._rest = True, ""
            return text[: min(places)]
        end = len(text) - self._open(text)
        self._rest = text[end:]
        return text[:end]

    def rest(self) -> str:
        """Text held back because a stop string might have begun there; none has."""
        rest, self._rest = self._rest, ""
        return rest

    def _open(self, text: str) -> int:
        """Characters at the end of `text` that a stop string begins with."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
