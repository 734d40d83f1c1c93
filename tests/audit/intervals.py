"""Intervals of one model's numbers, as their text says: exact ones by scipy, resampled ones as ranges."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from scipy import stats

from tests.audit.ledger import Ledger, Range
from tests.audit.raw import Floats

OWN_DRAWS = 4000
CHANCE = 1e-5
"""Of an end that is right to be called wrong, on either side."""
SIGMAS = 4.5
"""The same in standard errors."""


def quantile_ranges(draws: Floats, stored_draws: int) -> tuple[float, Range, float, Range]:
    """The 2.5 and 97.5 % ends of own draws, each with the range of one from `stored_draws` draws.

    The level that an empirical quantile really has is that of an order statistic: beta distributed.
    """
    ends: list[float | Range] = []
    effective = 1 / (1 / stored_draws + 1 / len(draws))
    for level in (0.025, 0.975):
        spread = stats.beta(level * effective, (1 - level) * effective)
        low, middle, high = np.quantile(draws, [spread.ppf(CHANCE), level, spread.isf(CHANCE)])
        ends += [float(middle), (float(low), float(high))]
    return ends[0], ends[1], ends[2], ends[3]  # type: ignore[return-value]


@lru_cache(maxsize=8)
def resamples(n: int) -> Floats:
    """How often each of n rows is drawn, [draws, n]."""
    return np.random.default_rng(n).multinomial(n, np.full(n, 1 / n), size=OWN_DRAWS).astype(np.float64)


def resampled_ratios(top: Floats, bottom: Floats) -> Floats:
    """Ratios of sums over resamples of the rows."""
    sums = resamples(len(top)) @ np.column_stack([top, bottom])
    sums = sums[sums[:, 1] > 0]
    return np.asarray(sums[:, 0] / sums[:, 1])


def exact(successes: int, n: int, method: str) -> Range:
    """Wilson's or Clopper and Pearson's interval of a share."""
    ends = stats.binomtest(successes, n).proportion_ci(0.95, method=method)
    return float(ends.low), float(ends.high)


def compare_ratio(
    ledger: Ledger, kind: str, place: str, stored: dict[str, float | None], text: str, *, top: Floats,
    bottom: Floats | None = None, unit: float = 1.0, bounds: Range = (0.0, 1.0),
) -> None:  # fmt: skip
    """A stored sum over sum of rows and its ends; `text`: how it says they were made."""
    bottom = np.ones(len(top)) if bottom is None else bottom
    value = float(top.sum() / bottom.sum())
    ledger.number(f"{kind} value", place, stored["value"], value * unit)
    low, high = stored["low"], stored["high"]
    if "no interval" in text:
        ledger.number(f"{kind} interval", place, low, None)
    elif match := re.search(r"bootstrap over .*?, ([\d,]+) draws", text):
        ratios = resampled_ratios(top, bottom) * unit
        below, below_range, above, above_range = quantile_ranges(ratios, int(match[1].replace(",", "")))
        ledger.number(f"{kind} interval", f"{place} low", low, below, within=below_range)
        ledger.number(f"{kind} interval", f"{place} high", high, above, within=above_range)
    elif "Wilson" in text or "Clopper" in text:
        n = len(top)
        if "Wilson" in text:
            ends = exact(round(value * n), n, "wilson")
        else:  # all rows agree: as many as could differ at most, and those to the end of the scale
            most = exact(0, n, "exact")[1]
            ends = value - most * (value - bounds[0]), value + most * (bounds[1] - value)
        for name, stored_end, end in (("low", low, ends[0]), ("high", high, ends[1])):
            ledger.number(f"{kind} interval", f"{place} {name}", stored_end, end * unit)
    else:
        ledger.skip(f"{kind} interval", f"not said how it was made: {text}")
