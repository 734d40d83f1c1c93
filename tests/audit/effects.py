"""Arms on a scale, and effects between them with the errors of seeds, prompts and single answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, stats
from scipy.special import logit, stdtrit

from tests.audit.raw import Floats

NEARER = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Where on the way to the end of a scale, from the end, an arm's best case is looked for."""


@dataclass(frozen=True)
class Level:
    """An arm's mean on a scale; `parts` [seeds, prompts]: what each answer adds to it."""

    value: float
    parts: Floats
    least_noise: float = 0.0
    answered: Floats | None = None
    """1 where a prompt has an answer of some seed, [prompts]."""
    varies: bool = True

    @property
    def seeds(self) -> int:
        return len(self.parts)

    @property
    def noise(self) -> float:
        """Variance of a seed's mean by its answers: the rest of a two-way layout of seeds and prompts."""
        seeds, prompts = self.parts.shape
        if seeds < 2 or prompts < 2:
            return self.least_noise
        squares = (self.parts**2).sum() - self.parts.sum() ** 2 / self.parts.size
        squares -= prompts * np.var(self.parts.mean(axis=1)) * seeds
        squares -= seeds * np.var(self.parts.mean(axis=0)) * prompts
        return max(float(squares) / ((seeds - 1) * (prompts - 1)) / prompts, self.least_noise)

    def less(self, other: Level) -> Level:
        answered = None
        if self.answered is not None and other.answered is not None:
            answered = np.maximum(self.answered, other.answered)
        return Level(
            self.value - other.value, self.parts - other.parts, self.least_noise + other.least_noise,
            answered, self.varies or other.varies,
        )  # fmt: skip


def plain(values: Floats) -> Level:
    """The mean as it is, of [seeds] or [seeds, prompts]."""
    grid = values[:, None] if values.ndim == 1 else values
    mean = float(np.nanmean(grid))
    return Level(mean, np.nan_to_num((grid - mean) * grid.size / np.isfinite(grid).sum()))


def odds(values: Floats) -> Level:
    """Log-odds of the mean of answers from 0 to 1, half a success and half a failure added."""
    grid = values[:, None] if values.ndim == 1 else values
    count, total = int(np.isfinite(grid).sum()), float(np.nansum(grid))
    share = (total + 0.5) / (count + 1)
    slope = share * (1 - share)
    parts = np.nan_to_num((grid - total / count) * grid.size / count / slope)
    varies = bool(np.nanmax(grid) > np.nanmin(grid))
    floor = (0.1 if varies else 1.0) / (count / len(grid) * slope)
    return Level(float(logit(share)), parts, floor, np.isfinite(grid).any(axis=0).astype(float), varies)


def best_odds(values: Floats, sign: int) -> list[Level]:
    """Log-odds that the arm could have in the direction of `sign`, the end of the scale first."""
    grid = values[:, None] if values.ndim == 1 else values
    count, mean, end = int(np.isfinite(grid).sum()), float(np.nanmean(grid)), float(sign > 0)
    shares = [((end + (mean - end) * part) * count + 0.5) / (count + 1) for part in NEARER]
    return [
        Level(float(logit(s)), np.zeros_like(grid), 1 / (count / len(grid) * s * (1 - s))) for s in shares
    ]


def common_variance(levels: Iterable[Level]) -> tuple[float, int] | None:
    """Variance between seeds beyond noise, common to all arms (Paule and Mandel), and its df."""
    several = [level for level in levels if level.seeds > 1]
    if not several:
        return None
    squares = np.array([np.var(level.parts.mean(axis=1)) * level.seeds for level in several])
    noise, df = np.array([level.noise for level in several]), sum(level.seeds - 1 for level in several)
    differing = squares > 1e-300
    squares, noise = squares[differing], noise[differing]

    def excess(variance: float) -> float:
        return float((squares / (variance + noise)).sum()) - df

    most = float(squares.sum()) / df
    if most == 0 or not noise.any():
        return most, df
    if noise.all() and excess(0.0) <= 0:
        return 0.0, df
    return float(optimize.bisect(excess, most * 1e-14, most * 1.01, xtol=1e-16 * most, rtol=1e-14)), df


@dataclass(frozen=True)
class Effect:
    """A weighted sum of levels; its variance in two parts, one that few seeds tell and one that many tell."""

    value: float
    few: float
    few_df: float
    many: float
    many_df: float
    seeds: int
    uncertain: float = 0.0
    """Relative error that resampling leaves in `many`; 0 where nothing is resampled."""
    n: int | None = None
    """Prompts that some arm has an answer to; None where answers are not compared."""
    varies: bool = True

    @property
    def error(self) -> float:
        return math.sqrt(self.few + self.many)

    @property
    def df(self) -> float:
        """Satterthwaite's."""
        total = self.few + self.many
        if total == 0:
            return self.few_df
        return total**2 / (self.few**2 / self.few_df + self.many**2 / self.many_df)

    def half(self, alpha: float = 0.05) -> float:
        """Half width of the interval at `1 - alpha`."""
        few, many = (float(stdtrit(df, alpha / 2)) for df in (self.few_df, self.many_df))
        return math.sqrt(few**2 * self.few + many**2 * self.many)

    def p(self, null: float = 0.0) -> float:
        """The alpha at which the interval touches the null."""
        distance = abs(self.value - null)
        if distance == 0 or self.error == 0:
            return float(distance == 0)
        if self.half(1 - 1e-12) >= distance:
            return 1.0
        if self.half(math.exp(-30)) < distance:
            return math.exp(-30)
        return math.exp(optimize.bisect(lambda log: self.half(math.exp(log)) - distance, -30, -1e-12))

    def equivalence(self, margin: float) -> float:
        """The larger of two one-sided ps against -margin and +margin."""
        below = self.p(-margin) / 2 if self.value > -margin else 1 - self.p(-margin) / 2
        above = self.p(margin) / 2 if self.value < margin else 1 - self.p(margin) / 2
        return max(below, above)

    def detectable(self, alpha: float) -> float:
        """Smallest true effect with a power of .8 at `alpha`, by the noncentral t distribution."""
        if self.error == 0:
            return 0.0
        critical = self.half(alpha) / self.error

        def lacking(shift: float) -> float:
            power = stats.nct.sf(critical, self.df, shift) + np.nan_to_num(
                stats.nct.cdf(-critical, self.df, shift)
            )
            return float(power) - 0.8

        return float(optimize.brentq(lacking, 1e-9, critical * 20 + 20)) * self.error

    def margin(self, alpha: float) -> float:
        """Narrowest margin within which equal arms are found equal with a power of .8."""
        return self.half(2 * alpha) + float(stats.t.ppf(0.9, self.df)) * self.error


def effect(
    levels: Sequence[Level], weights: Sequence[float], pool: Sequence[Level] | None = None
) -> Effect | None:
    """A weighted sum of levels, the variance of seeds from `pool`; None without two seeds."""
    variance = common_variance(levels if pool is None else pool)
    if variance is None:
        return None
    scale = [weight**2 / level.seeds for weight, level in zip(weights, levels, strict=True)]
    parts = sum(w * level.parts.mean(axis=0) for w, level in zip(weights, levels, strict=True))
    total = assembled(
        sum(w * level.value for w, level in zip(weights, levels, strict=True)), np.asarray(parts),
        between=variance[0] * sum(scale), df=variance[1], seeds=min(level.seeds for level in levels),
        noise=sum(s * level.noise for s, level in zip(scale, levels, strict=True)),
    )  # fmt: skip
    masks = [level.answered for level in levels if level.answered is not None]
    n = int((np.sum(masks, axis=0) > 0).sum()) if len(masks) == len(levels) else None
    return replace(total, n=n, varies=total.value != 0 or any(level.varies for level in levels))


def assembled(value: float, parts: Floats, *, between: float, noise: float, df: float, seeds: int) -> Effect:
    """Both parts of the variance; of noise, what does not exceed that of seeds counts with the seeds."""
    n = len(parts)
    prompts = max(0.0, float(np.var(parts, ddof=1)) / n - noise) if n > 1 else 0.0
    with_few = min(between, noise)
    return Effect(value, between + with_few, df, prompts + noise - with_few, max(n - 1, 1), seeds)


def moved(level: Level, value: float) -> Level:
    return replace(level, value=value)
