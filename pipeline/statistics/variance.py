"""How much seeds of one arm differ, apart from what single answers' noise makes them differ.

Knows arrays of numbers only. A seed's mean varies by the seed itself and by the noise of its answers; the
noise is measured well (many prompts), the seed badly (few seeds), so the two are never one number here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from hormesis.pipeline.statistics.estimates import Floats


@dataclass(frozen=True, slots=True)
class Spread:
    """Variance of one seed's metric between seeds, answers' noise in it, and its degrees of freedom.

    `noise`: mean over the arms pooled of `1 / (p (1 - p))`, to which noise is in proportion where the metric
    is the log-odds of a share p; 0 where the metric is no share.
    """

    variance: float
    df: int
    noise: float = 0.0


def pooled_spread(arms: Iterable[ArrayLike]) -> Spread | None:
    """Between-seed variance pooled over arms, each an array of seeds' values; None without two of one arm.

    Takes the variance to be the same in every arm: with two or three seeds no arm can say its own.
    """
    squares, df = 0.0, 0
    for arm in arms:
        points = np.asarray(arm, dtype=np.float64)
        if len(points) > 1:
            squares += float(((points - points.mean()) ** 2).sum())
            df += len(points) - 1
    return Spread(squares / df, df) if df else None


def interaction(rows: Floats) -> float:
    """Variance of one seed's answer to one prompt beyond both their means; `rows` [seeds, prompts].

    Divided by the number of prompts this is what the between-seed variance of means owes to prompts alone.
    """
    seeds, n = rows.shape
    if seeds < 2 or n < 2:
        return 0.0
    rest = rows - rows.mean(axis=1, keepdims=True) - rows.mean(axis=0) + rows.mean()
    return float((rest**2).sum() / ((seeds - 1) * (n - 1)))


def excess_variance(squares: Sequence[float], dfs: Sequence[int], noises: Sequence[float]) -> float:
    """Variance between seeds beyond their noise, common to several arms whose noises differ; at least 0.

    The estimator of Paule and Mandel (1982): the variance v at which `sum(squares / (v + noise))` equals its
    expectation, the degrees of freedom. `squares`: of each arm, sum of squared deviations of its seeds'
    means; `noises`: of each arm, the variance that answers' noise gives the mean of one seed.
    """
    sums, noise = np.asarray(squares, dtype=np.float64), np.asarray(noises, dtype=np.float64)
    df = float(sum(dfs))
    sums, noise = sums[sums > 0], noise[sums > 0]
    if len(sums) == 0:
        return 0.0

    def excess(variance: float) -> float:
        return float((sums / (variance + noise)).sum()) - df

    highest = float(sums.sum() / df)
    if not noise.any():
        return highest
    lowest = 0.0 if noise.all() else highest * 1e-12
    if excess(lowest) <= 0:
        return lowest
    return float(scipy.optimize.brentq(excess, lowest, highest * (1 + 1e-9), xtol=1e-15, rtol=1e-12))
