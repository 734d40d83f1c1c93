"""What was compared, and how far stored numbers lie from those made anew."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

TOLERANCE = 1e-6
"""Relative difference of numbers that no resampling is in; Monte Carlo ends have a range each."""
MOST = 100
"""Faults that the table names."""
Range = tuple[float, float]


@dataclass
class Kind:
    """Comparisons of one kind of number."""

    compared: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    skipped: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Ledger:
    """All comparisons of one audit."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}

    def _kind(self, kind: str) -> Kind:
        return self.kinds.setdefault(kind, Kind())

    def number(
        self, kind: str, place: str, stored: float | None, anew: float | None, *, within: Range | None = None
    ) -> None:
        """A stored number against the same made anew; `within`: where a resampled one may lie."""
        row = self._kind(kind)
        row.compared += 1
        stored, anew = (None if v is None or not math.isfinite(v) else float(v) for v in (stored, anew))
        if stored is None or anew is None:
            if stored is not anew:
                row.faults.append(f"{place}: {stored} stored, {anew} made anew")
            return
        difference = abs(stored - anew)
        relative = difference / max(abs(stored), abs(anew), 1e-3)
        row.absolute, row.relative = max(row.absolute, difference), max(row.relative, relative)
        if within is None:
            is_near = relative <= TOLERANCE
        else:
            margin = TOLERANCE * max(abs(end) for end in (*within, 1e-3))
            is_near = within[0] - margin <= stored <= within[1] + margin
        if not is_near:
            text = "" if within is None else f", at most {within[0]:.6g} to {within[1]:.6g}"
            row.faults.append(f"{place}: {stored:.10g} stored, {anew:.10g} made anew{text}")

    def word(self, kind: str, place: str, stored: str, anew: set[str]) -> None:
        """A stored word against those that it may be."""
        row = self._kind(kind)
        row.compared += 1
        if stored not in anew:
            row.faults.append(f"{place}: {stored!r} stored, {' or '.join(sorted(anew))!r} made anew")

    def skip(self, kind: str, why: str) -> None:
        """A number that could not be made anew."""
        self._kind(kind).skipped[why] += 1

    @property
    def faults(self) -> list[str]:
        """Every difference beyond its tolerance, with its kind."""
        return [f"{name}: {fault}" for name, kind in self.kinds.items() for fault in kind.faults]

    def table(self) -> str:
        """The table of kinds, then reasons and faults, in lines."""
        lines = [f"{'kind':32}{'compared':>9}{'not made':>9}{'faults':>7}{'absolute':>11}{'relative':>11}"]
        lines += [
            f"{name:32}{kind.compared:9,}{kind.skipped.total():9,}{len(kind.faults):7,}"
            f"{kind.absolute:11.1e}{kind.relative:11.1e}"
            for name, kind in sorted(self.kinds.items())
        ]
        for name, kind in sorted(self.kinds.items()):
            lines += [f"not made: {name}: {count:,}: {why}" for why, count in kind.skipped.most_common()]
        return "\n".join([*lines, *(f"FAULT {fault}" for fault in self.faults[:MOST])])
