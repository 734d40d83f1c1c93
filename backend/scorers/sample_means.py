"""Means over the few texts of a pane, with 95 % intervals that hold for few.

The unit is the text: all continue one prompt, so an interval speaks of this prompt and no other. A bootstrap
over four or eight texts would be too narrow; Student's t is used, and where all texts agree (so that t would
have no width) the bound of Clopper and Pearson (1934), as the study's own statistics do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hormesis.db.contract.measured import Mean

LEVEL = 0.95
SCORE = (0.0, 1.0)
"""Least and largest value of a score."""
DIFFERENCE = (-1.0, 1.0)


def mean_of(values: Sequence[float | None], bounds: tuple[float, float] = SCORE) -> Mean | None:
    """The mean of the values that are there, each within `bounds`; None where there is none."""
    numbers = np.array([value for value in values if value is not None], dtype=np.float64)
    n = len(numbers)
    if n == 0:
        return None
    value = float(numbers.mean())
    if n == 1:
        return Mean(value=value, low=None, high=None, n=1, interval="one text: no interval")
    low, high = bounds
    if np.ptp(numbers) == 0:
        differing = 1 - ((1 - LEVEL) / 2) ** (1 / n)
        ends = value - differing * (value - low), value + differing * (high - value)
        how = f"Clopper-Pearson over texts, {LEVEL:.0%} (all {n} agree)"
    else:
        # Late, since it takes a second: a service that was asked for one text never needs it.
        import scipy.stats

        test = scipy.stats.ttest_1samp(numbers, 0.0).confidence_interval(LEVEL)
        ends = max(low, float(test.low)), min(high, float(test.high))
        how = f"Student's t over texts, {LEVEL:.0%}"
    return Mean(value=value, low=ends[0], high=ends[1], n=n, interval=how)


def mean_difference(after: Sequence[float | None], before: Sequence[float | None]) -> Mean | None:
    """The mean of `after - before`, scores of texts from the same seeds; None where no pair has both."""
    changes = [
        None if later is None or earlier is None else later - earlier
        for later, earlier in zip(after, before, strict=True)
    ]
    mean = mean_of(changes, DIFFERENCE)
    return mean and mean.model_copy(update={"interval": f"paired by seed; {mean.interval}"})
