"""How much of an interval is seeds, prompts, and the estimate of a steering direction.

Knows arrays. Two-way random effects by the method of moments (Searle, Casella and McCulloch 1992, chapter 4)
for seeds and prompts; replicates of the direction are a bootstrap of its statements, common to all seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """Variances of a mean, in its unit squared, and the ends of its 95 % interval; None: cannot be told."""

    seeds: float | None = None
    prompts: float | None = None
    """Prompts, and what is answered to them."""
    direction: float | None = None
    low: float | None = None
    high: float | None = None


class _Squares(NamedTuple):
    """Mean squares of rows, columns and what is left of a table without gaps."""

    rows: float
    columns: float
    rest: float


def _squares(table: Floats) -> _Squares:
    """Of a table [rows, columns], two of each at least."""
    n_rows, n_columns = table.shape
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    rest = table - rows[:, None] - columns + table.mean()
    return _Squares(
        n_columns * float(rows.var(ddof=1)),
        n_rows * float(columns.var(ddof=1)),
        float((rest**2).sum()) / ((n_rows - 1) * (n_columns - 1)),
    )


def interval_parts(values: ArrayLike, replicates: ArrayLike, *, level: float = 0.95) -> Parts:
    """What the variance of the mean of `values` [seeds, prompts] is made of, and its interval.

    `replicates` [replicates, seeds, prompts]: the same under directions estimated anew. Prompts without a
    value in any of them (NaN) are left out. Each part has Student's degrees of freedom, joined by
    Satterthwaite's rule. No part is told with one seed or one prompt; that of the direction needs two
    replicates; there is no interval where nothing varies. Of the spread between replicates, what answers
    alone would give is taken off.
    """
    of_seeds, anew = np.asarray(values, dtype=np.float64), np.asarray(replicates, dtype=np.float64)
    answered = ~(np.isnan(of_seeds).any(axis=0) | np.isnan(anew).any(axis=(0, 1)))
    of_seeds, anew = of_seeds[:, answered], anew[:, :, answered]
    n_seeds, n_prompts = of_seeds.shape
    if n_prompts < 2 or len(anew) < 2:
        return Parts()
    noise = np.mean([_squares(anew[:, seed]).rest for seed in range(n_seeds)]) / (n_seeds * n_prompts)
    direction = max(0.0, float(anew.mean(axis=(1, 2)).var(ddof=1)) - float(noise))
    if n_seeds < 2:
        return Parts(direction=direction)
    squares = _squares(of_seeds)
    seeds = max(0.0, squares.rows - squares.rest) / (n_seeds * n_prompts)
    prompts = (max(0.0, squares.columns - squares.rest) + squares.rest) / (n_seeds * n_prompts)
    parts = [(seeds, n_seeds - 1), (prompts, n_prompts - 1), (direction, len(anew) - 1)]
    total = sum(variance for variance, _ in parts)
    if total == 0:  # nothing moved in so few answers: no interval of no width
        return Parts(seeds, prompts, direction)
    df = total**2 / sum(variance**2 / df for variance, df in parts)
    mean = float(of_seeds.mean())
    reach = float(stats.t.ppf((1 + level) / 2, df)) * total**0.5
    return Parts(seeds, prompts, direction, mean - reach, mean + reach)
