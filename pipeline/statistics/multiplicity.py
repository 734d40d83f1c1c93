"""Several tests at once: Holm's correction across a declared family. Knows p-values only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hormesis.pipeline.statistics import Floats, StatisticsError


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values in the order given (Holm 1979): reject where at or below the family's level.

    Keeps the chance of any false finding in the family at the level, whatever the dependence of the tests.
    Raises StatisticsError for values outside 0 to 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise StatisticsError("p-values must be one row of numbers from 0 to 1")
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    adjusted = np.empty_like(p)
    adjusted[order] = raised
    return adjusted
