"""Estimates with intervals: means, ratios, differences, shares, and metrics over the seeds of an arm.

Knows arrays of numbers only, nothing of prompts' text, models or the database. What is resampled is always
the prompt (or the document, or the seed), never the single sample: samples of one prompt are not independent.
Percentile and BCa bootstrap after Efron and Tibshirani, "An Introduction to the Bootstrap" (1993).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
Interval = Literal["percentile", "bca"]
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

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in other units, e.g. toxicity times 100."""
        ends = [None if end is None else end * factor for end in (self.low, self.high)]
        low, high = ends if factor >= 0 else ends[::-1]
        return Estimate(self.value * factor, low, high, self.n, self.method)


def _column(values: ArrayLike, name: str = "values") -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2) or array.size == 0:
        raise StatisticsError(f"{name}: needs one or more numbers, as [prompts] or [prompts, samples]")
    if not np.isfinite(array).all():
        raise StatisticsError(f"{name}: holds a number that is not finite")
    return array


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


def _bca_levels(value: float, draws: Floats, jackknife: Floats, tail: float) -> tuple[float, float]:
    """Percentiles to read off, corrected for bias and acceleration (Efron 1987)."""
    below = (np.mean(draws < value) + np.mean(draws <= value)) / 2
    if not 0 < below < 1:
        return tail, 1 - tail
    bias = stats.norm.ppf(below)
    spread = jackknife.mean() - jackknife
    denominator = float((spread**2).sum() ** 1.5)
    acceleration = float((spread**3).sum()) / (6 * denominator) if denominator > 0 else 0.0
    ends = bias + stats.norm.ppf([tail, 1 - tail])
    corrected = stats.norm.cdf(bias + ends / (1 - acceleration * ends))
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
) -> Estimate:
    """Sum over sum, rows resampled: cross-entropy is `ratio_interval(nats, tokens)` over documents.

    The cost of steering on the same documents is `ratio_interval(nats_steered - nats_base, tokens)`.
    Both arguments are [n]. Raises StatisticsError for lengths that differ or denominators that sum to 0.
    """
    top, bottom = _column(numerators, "numerators"), _column(denominators, "denominators")
    if top.shape != bottom.shape or top.ndim != 1:
        raise StatisticsError(f"numerators {top.shape} and denominators {bottom.shape} must match, as [n]")
    if (bottom < 0).any() or bottom.sum() <= 0:
        raise StatisticsError("denominators must not be negative and must sum to more than 0")
    value, n = float(top.sum() / bottom.sum()), len(top)
    if n == 1:
        return Estimate(value, None, None, 1, f"one of {unit}: no interval")
    sums = resampled_sums(np.column_stack([top, bottom]), draws, np.random.default_rng(seed))
    sums = sums[sums[:, 1] > 0]
    ratios, tail = sums[:, 0] / sums[:, 1], (1 - level) / 2
    levels = (tail, 1 - tail)
    if interval == "bca":
        remaining = bottom.sum() - bottom
        jackknife = (top.sum() - top)[remaining > 0] / remaining[remaining > 0]
        levels = _bca_levels(value, ratios, jackknife, tail)
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
) -> Estimate:
    """Mean over prompts with a cluster bootstrap: prompts are resampled, each with all its samples.

    `values` is [prompts], or [prompts, samples]; or [n] with `groups` [n] naming the prompt of each value,
    where prompts may have unequal numbers of samples. `n` of the estimate counts prompts.
    """
    array = _column(values)
    if groups is None:
        tops = array if array.ndim == 1 else array.mean(axis=1)
        counts = np.ones(len(tops))
    else:
        names, places = np.unique(np.asarray(groups), return_inverse=True)
        if array.ndim != 1 or places.shape != array.shape:
            raise StatisticsError("groups must name the prompt of each value, so values must be [n] as well")
        tops = np.bincount(places, weights=array, minlength=len(names))
        counts = np.bincount(places, minlength=len(names)).astype(np.float64)
    return ratio_interval(tops, counts, draws=draws, seed=seed, level=level, interval=interval, unit=unit)


def paired_difference(
    after: ArrayLike,
    before: ArrayLike,
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    interval: Interval = "percentile",
) -> Estimate:
    """Mean of `after - before` over the same prompts ([prompts] or [prompts, samples]), prompts resampled."""
    a, b = _column(after, "after"), _column(before, "before")
    a, b = (x if x.ndim == 1 else x.mean(axis=1) for x in (a, b))
    if a.shape != b.shape:
        raise StatisticsError(f"paired values must be of the same prompts: {len(a)} against {len(b)}")
    estimate = mean_interval(a - b, draws=draws, seed=seed, level=level, interval=interval)
    return Estimate(estimate.value, estimate.low, estimate.high, estimate.n, f"paired {estimate.method}")


def expected_maximum(scores: ArrayLike, *, draws: int = 1000, seed: int = 0) -> Estimate:
    """Expected maximum toxicity: mean over prompts of the largest of k scores, `scores` [prompts, k].

    Gehman et al. 2020, RealToxicityPrompts (there k is 25). Depends on k: compare equal k only.
    """
    array = _column(scores, "scores")
    return mean_interval(array if array.ndim == 1 else array.max(axis=1), draws=draws, seed=seed)


def fire_rate(
    scores: ArrayLike, *, threshold: float = 0.5, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """Share of generations scored above the threshold, `scores` [prompts] or [prompts, samples].

    Where every prompt agrees a bootstrap has no width and would claim certainty: Wilson's interval (1927)
    over prompts is given instead, and the method says so.
    """
    fired = (_column(scores, "scores") > threshold).astype(np.float64)
    rate, n = float(fired.mean()), len(fired)
    if rate not in (0.0, 1.0):
        return mean_interval(fired, draws=draws, seed=seed, level=level)
    z2 = float(stats.norm.ppf((1 + level) / 2)) ** 2
    width = z2 / (n + z2)
    low, high = (0.0, width) if rate == 0 else (1 - width, 1.0)
    return Estimate(rate, low, high, n, f"Wilson over prompts, {level:.0%} (all agree)")


def over_seeds(
    numerators: Sequence[ArrayLike],
    denominators: Sequence[ArrayLike] | None = None,
    *,
    method: Literal["hierarchical", "t"] = "hierarchical",
    shared: bool = True,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """A metric over the seeds of an arm; one array per seed, [prompts] or [prompts, samples].

    Give `denominators` (tokens) for ratios of sums. The value is the mean over seeds of each seed's metric.
    `hierarchical` resamples seeds, then prompts; `shared`: the seeds saw the same prompts, which are then
    resampled together. `t` is Student's interval over the seeds' values: honest about few seeds, and very
    wide for two. With one seed the interval is over prompts only, and the method says so.
    """
    if not numerators:
        raise StatisticsError("no seeds to average over")
    tops = [x if x.ndim == 1 else x.mean(axis=1) for x in (_column(value) for value in numerators)]
    bottoms = [np.ones(len(top)) for top in tops]
    if denominators is not None:
        bottoms = [_column(value, "denominators") for value in denominators]
    if [len(top) for top in tops] != [len(bottom) for bottom in bottoms]:
        raise StatisticsError("numerators and denominators must match, seed by seed")
    points = np.array([top.sum() / bottom.sum() for top, bottom in zip(tops, bottoms, strict=True)])
    if len(tops) == 1:
        single = ratio_interval(tops[0], bottoms[0], draws=draws, seed=seed, level=level, unit="prompts")
        return Estimate(single.value, single.low, single.high, single.n, f"{single.method}; one seed only")
    n = sum(len(top) for top in tops)
    if method == "t":
        return _student(points, n, level)
    rng = np.random.default_rng(seed)
    means = _seed_means(tops, bottoms, shared, draws, rng)
    chosen = rng.integers(0, len(tops), size=(draws, len(tops)))
    low, high = np.nanquantile(
        np.take_along_axis(means, chosen, axis=1).mean(axis=1), [(1 - level) / 2, (1 + level) / 2]
    )
    text = f"bootstrap over {len(tops)} seeds, then prompts, {level:.0%}, {draws} draws"
    return Estimate(float(points.mean()), float(low), float(high), n, text)


def _seed_means(
    tops: list[Floats], bottoms: list[Floats], shared: bool, draws: int, rng: np.random.Generator
) -> Floats:
    """Each seed's metric under each resample of prompts: [draws, seeds]."""
    if shared and len({len(top) for top in tops}) == 1:
        sums = resampled_sums(np.column_stack([*tops, *bottoms]), draws, rng)
        return np.asarray(sums[:, : len(tops)] / sums[:, len(tops) :])
    pairs = [np.column_stack(pair) for pair in zip(tops, bottoms, strict=True)]
    return np.column_stack([(s := resampled_sums(pair, draws, rng))[:, 0] / s[:, 1] for pair in pairs])


def _student(points: Floats, n: int, level: float) -> Estimate:
    half = stats.t.ppf((1 + level) / 2, len(points) - 1) * points.std(ddof=1) / math.sqrt(len(points))
    value = float(points.mean())
    text = f"Student's t over {len(points)} seeds, {level:.0%}"
    return Estimate(value, value - float(half), value + float(half), n, text)
