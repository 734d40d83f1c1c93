"""Estimates with intervals from one model: means, ratios, paired differences, shares.

Knows arrays of numbers only, nothing of prompts' text, models, seeds or the database. What is resampled is
the prompt (or the document), never the single sample: samples of one prompt are not independent.
Percentile and BCa bootstrap after Efron and Tibshirani, "An Introduction to the Bootstrap" (1993).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from hormesis.db.contract.scores import TOXIC

Floats = NDArray[np.float64]
Interval = Literal["percentile", "bca"]
Bounds = tuple[float, float]
SCORE: Bounds = (0.0, 1.0)
"""Least and largest value of a score, a share or an accuracy."""
_CELLS = 4_000_000
"""Indices drawn at a time; bounds memory to about 64 MB whatever the number of prompts and draws."""


class StatisticsError(ValueError):
    """Numbers from which no estimate can be made; the message is one line."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval: `low` and `high` are None where none can be given (a single prompt)."""

    value: float
    low: float | None
    high: float | None
    n: int
    method: str

    @property
    def columns(self) -> dict[str, Any]:
        """Its columns in a table that keeps estimates."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return ends | {"n": self.n, "interval": self.method}

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in other units, e.g. toxicity times 100."""
        ends = [None if end is None else end * factor for end in (self.low, self.high)]
        low, high = ends if factor >= 0 else ends[::-1]
        return Estimate(self.value * factor, low, high, self.n, self.method)


def column(values: ArrayLike, name: str = "values") -> Floats:
    """Finite numbers as float64 [n] or [n, samples]; else StatisticsError, which calls them `name`."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2) or array.size == 0:
        raise StatisticsError(f"{name}: needs one or more numbers, as [prompts] or [prompts, samples]")
    if not np.isfinite(array).all():
        raise StatisticsError(f"{name}: holds a number that is not finite")
    return array


def by_prompt(values: Floats) -> Floats:
    """Mean over the last axis of the values there are; NaN where there is none. [..., samples] to [...]."""
    is_scored = ~np.isnan(values)
    counts = is_scored.sum(axis=-1)
    sums = np.where(is_scored, values, 0.0).sum(axis=-1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def largest(values: Floats) -> Floats:
    """The largest over the last axis of the values there are; NaN where there is none."""
    is_scored = ~np.isnan(values)
    return np.where(is_scored.any(axis=-1), np.where(is_scored, values, -np.inf).max(axis=-1), np.nan)


def finite(values: Floats) -> Floats:
    """The values that are there."""
    return values[~np.isnan(values)]


def above(scores: Floats, threshold: float = TOXIC) -> Floats:
    """1 for a score above the threshold, 0 for another, NaN for none."""
    return np.where(np.isnan(scores), np.nan, scores > threshold)


def constant(numerators: Floats, denominators: Floats) -> bool:
    """Whether every row has the same ratio."""
    ratios = numerators[denominators > 0] / denominators[denominators > 0]
    return bool(len(ratios) and np.ptp(ratios) == 0)


def all_agree(
    value: float, n: int, bounds: Bounds, *, level: float = 0.95, unit: str = "prompts"
) -> Estimate:
    """The interval of a mean where all `n` rows hold the same value and a bootstrap would have no width.

    By Clopper and Pearson (1934) at most `1 - (a/2)^(1/n)` of all rows differ from the value (for one side
    the rule of three, 3/n); those may hold anything within `bounds`. Exact, so on the wide side.
    """
    most_differing = 1 - ((1 - level) / 2) ** (1 / n)
    low, high = bounds
    ends = value - most_differing * (value - low), value + most_differing * (high - value)
    text = f"Clopper-Pearson over {unit}, {level:.0%} (all {n:,} agree)"
    return Estimate(value, float(ends[0]), float(ends[1]), n, text)


def resampled_sums(columns: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Sums of the columns over `draws` resamples of the rows: [n, c] to [draws, c], memory bounded."""
    n = len(columns)
    sums = np.empty((draws, columns.shape[1]))
    step = max(1, _CELLS // n)
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        rows = rng.integers(0, n, size=(stop - start, n))
        for column in range(columns.shape[1]):
            sums[start:stop, column] = columns[:, column][rows].sum(axis=1)
    return sums


def _bca_levels(value: float, draws: Floats, jackknife: Floats, *, tail: float) -> tuple[float, float]:
    """The two percentiles to read off, corrected for bias and acceleration (Efron 1987).

    `draws`: resampled estimates; `jackknife` [n]: estimates with one row left out; `tail`: without
    correction.
    """
    below = (np.mean(draws < value) + np.mean(draws <= value)) / 2
    if not 0 < below < 1:
        return tail, 1 - tail
    bias = scipy.stats.norm.ppf(below)
    spread = jackknife.mean() - jackknife
    denominator = float((spread**2).sum() ** 1.5)
    acceleration = float((spread**3).sum()) / (6 * denominator) if denominator > 0 else 0.0
    ends = bias + scipy.stats.norm.ppf([tail, 1 - tail])
    corrected = scipy.stats.norm.cdf(bias + ends / (1 - acceleration * ends))
    return float(corrected[0]), float(corrected[1])


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    interval: Interval = "percentile",
    unit: str = "documents",
    bounds: Bounds | None = None,
) -> Estimate:
    """Sum over sum, rows resampled: cross-entropy is `ratio_interval(nats, tokens)` over documents.

    The cost of steering on the same documents is `ratio_interval(nats_steered - nats_base, tokens)`.
    Both arguments are [n] (`top`, `bottom`). `bounds`: the least and largest value a row can have; where all
    rows agree, the interval is then that of `all_agree`, not one without width. Raises StatisticsError for
    lengths that differ or denominators that sum to 0.
    """
    top, bottom = column(numerators, "numerators"), column(denominators, "denominators")
    if top.shape != bottom.shape or top.ndim != 1:
        raise StatisticsError(f"numerators {top.shape} and denominators {bottom.shape} must match, as [n]")
    if (bottom < 0).any() or bottom.sum() <= 0:
        raise StatisticsError("denominators must not be negative and must sum to more than 0")
    value, n = float(top.sum() / bottom.sum()), len(top)
    if n == 1:
        return Estimate(value, None, None, 1, f"one of {unit}: no interval")
    if bounds is not None and constant(top, bottom):
        return all_agree(value, n, bounds, level=level, unit=unit)
    sums = resampled_sums(np.column_stack([top, bottom]), draws, np.random.default_rng(seed))
    sums = sums[sums[:, 1] > 0]
    ratios, tail = sums[:, 0] / sums[:, 1], (1 - level) / 2
    levels = (tail, 1 - tail)
    if interval == "bca":
        remaining = bottom.sum() - bottom
        jackknife = (top.sum() - top)[remaining > 0] / remaining[remaining > 0]
        levels = _bca_levels(value, ratios, jackknife, tail=tail)
    low, high = np.quantile(ratios, levels)
    kind = "bootstrap" if interval == "percentile" else "BCa bootstrap"
    return Estimate(value, float(low), float(high), n, f"{kind} over {unit}, {level:.0%}, {draws} draws")


def mean_interval(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    interval: Interval = "percentile",
    unit: str = "prompts",
    bounds: Bounds | None = None,
) -> Estimate:
    """Mean over prompts with a cluster bootstrap: prompts are resampled, each with all its samples.

    `values` is [prompts], or [prompts, samples]; or [n] with `groups` [n] naming the prompt of each value,
    where prompts may have unequal numbers of samples: `tops` are then sums by prompt, `counts` their sizes.
    `n` of the estimate counts prompts. `bounds` as for `ratio_interval`: (0, 1) for scores.
    """
    array = column(values)
    if groups is None:
        tops = array if array.ndim == 1 else array.mean(axis=1)
        counts = np.ones(len(tops))
    else:
        group_names, places = np.unique(np.asarray(groups), return_inverse=True)
        if array.ndim != 1 or places.shape != array.shape:
            raise StatisticsError("groups must name the prompt of each value, so values must be [n] as well")
        tops = np.bincount(places, weights=array, minlength=len(group_names))
        counts = np.bincount(places, minlength=len(group_names)).astype(np.float64)
    return ratio_interval(
        tops, counts, draws=draws, seed=seed, level=level, interval=interval, unit=unit, bounds=bounds
    )


def proportion(successes: int, n: int, unit: str) -> Estimate:
    """Share of `n` independent trials that succeeded, with Wilson's interval (1927)."""
    ends = scipy.stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return Estimate(successes / n, float(ends.low), float(ends.high), n, f"Wilson over {unit}, 95%")


def paired_difference(
    after: ArrayLike,
    before: ArrayLike,
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    interval: Interval = "percentile",
    bounds: Bounds | None = None,
) -> Estimate:
    """Mean of `after - before` over the same prompts ([prompts] or [prompts, samples]), prompts resampled.

    `bounds` are those of a difference: (-1, 1) for scores.
    """
    later, earlier = column(after, "after"), column(before, "before")
    later, earlier = (values if values.ndim == 1 else values.mean(axis=1) for values in (later, earlier))
    if later.shape != earlier.shape:
        raise StatisticsError(
            f"paired values must be of the same prompts: {len(later)} against {len(earlier)}"
        )
    estimate = mean_interval(
        later - earlier, draws=draws, seed=seed, level=level, interval=interval, bounds=bounds
    )
    return Estimate(estimate.value, estimate.low, estimate.high, estimate.n, f"paired {estimate.method}")


def expected_maximum(scores: ArrayLike, *, draws: int = 1000, seed: int = 0) -> Estimate:
    """Expected maximum toxicity: mean over prompts of the largest of k scores, `scores` [prompts, k].

    Gehman et al. 2020, RealToxicityPrompts (there k is 25). Depends on k: compare equal k only. NaN is no
    score. Raises StatisticsError for one score a prompt, of which the largest is the mean.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] < 2:
        raise StatisticsError("expected maximum toxicity needs several samples of each prompt")
    maximum = mean_interval(finite(largest(array)), draws=draws, seed=seed, bounds=SCORE)
    return replace(maximum, method=f"{maximum.method}; largest of {array.shape[1]} samples")


def fire_rate(
    scores: ArrayLike, *, threshold: float = TOXIC, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """Share of generations scored above the threshold, `scores` [prompts] or [prompts, samples].

    NaN is no score. Where every prompt agrees a bootstrap has no width and would claim certainty: Wilson's
    interval (1927) over prompts is given instead, and the method says so.
    """
    fired = above(np.asarray(scores, dtype=np.float64), threshold)
    fired = finite(fired if fired.ndim == 1 else by_prompt(fired))
    rate, n = float(fired.mean()), len(fired)
    if rate not in (0.0, 1.0):
        return mean_interval(fired, draws=draws, seed=seed, level=level)
    z2 = float(scipy.stats.norm.ppf((1 + level) / 2)) ** 2
    width = z2 / (n + z2)
    low, high = (0.0, width) if rate == 0 else (1 - width, 1.0)
    return Estimate(rate, low, high, n, f"Wilson over prompts, {level:.0%} (all agree)")
