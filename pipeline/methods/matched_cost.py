"""Finding the strength at which an intervention costs so many nats: the matched-cost view's arithmetic.

Knows a function from strength to cost; knows nothing of models.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy.optimize import brentq

TOLERANCE = 0.02
"""Relative distance to the target at which the search ends."""
FIRST_STRENGTH = 0.5


@dataclass(frozen=True)
class Match:
    """Where the search ended: strength, cost in nats per token, and whether the target was reached."""

    strength: float
    cost: float
    reached: bool


class CostSearch:
    """Brent's method on a cost curve; every evaluation is kept and serves later targets too.

    A cost curve starts at 0 for strength 0 and grows about with the square of the strength, so what is
    searched is the square root of the cost.
    """

    def __init__(self, cost: Callable[[float], float], limit: float, start: float = FIRST_STRENGTH) -> None:
        """`start`: the first strength tried; a good guess saves evaluations, a bad one costs some."""
        self._cost = cost
        self._limit = limit
        self._start = min(start, limit)
        self.costs: dict[float, float] = {0.0: 0.0}

    def at(self, strength: float) -> float:
        """Cost at a strength, evaluated at most once; infinite where it is no number."""
        if strength not in self.costs:
            cost = self._cost(strength)
            self.costs[strength] = math.inf if math.isnan(cost) else cost
        return self.costs[strength]

    def match(self, target: float, most: int = 25) -> Match:
        """Strength whose cost is the target (nats) within 2 %; `most`: evaluations once it is bracketed.

        Where no strength up to the limit costs that much, the limit is given back with `reached` False;
        where the curve jumps over the target, the nearer side of the jump.
        Raises ValueError for a target that is not above 0.
        """
        if target <= 0:
            raise ValueError("a matched cost must be above 0 nats")
        low, high = self._bracket(target)
        if high is None:
            return Match(self._limit, self.at(self._limit), False)

        def excess(strength: float) -> float:
            cost = self.at(strength)
            # Interpolation needs a number: a model that breaks there costs four times the root.
            root = math.sqrt(max(cost if math.isfinite(cost) else 16 * target, 0.0)) - math.sqrt(target)
            return 0.0 if self._is_near(strength, target) else root

        # Where the curve jumps over the target there is no such strength, and the bracket shrinks around it.
        brentq(excess, low, high, xtol=1e-4 * high, maxiter=most, disp=False)
        inside = (strength for strength in self.costs if low <= strength <= high)
        best = min(inside, key=lambda strength: abs(self.at(strength) - target))
        return Match(best, self.at(best), self._is_near(best, target))

    def _is_near(self, strength: float, target: float) -> bool:
        return abs(self.at(strength) - target) <= TOLERANCE * target

    def _bracket(self, target: float) -> tuple[float, float | None]:
        """Strengths below and above the target cost (nats); the second None where the limit costs less."""
        dearer = [s for s, cost in self.costs.items() if cost >= target]
        high = min(dearer) if dearer else None
        strength = 0.0
        while high is None and strength < self._limit:
            largest = max((s for s in self.costs if s > 0), default=0.0)
            guess = largest * math.sqrt(target / self.at(largest)) * 1.1 if self.at(largest) > 0 else math.inf
            strength = min(self._limit, max(self._start, 1.25 * largest, min(guess, 4 * largest)))
            if self.at(strength) >= target:
                high = strength
        cheaper = [s for s, cost in self.costs.items() if cost < target and (high is None or s < high)]
        return max(cheaper), high
