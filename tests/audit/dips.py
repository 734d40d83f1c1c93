"""A dip over the share, tested anew: isotonic fits by every partition, hormetic ones by least squares."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tests.audit.effects import Level, common_variance
from tests.audit.raw import Floats

OWN_DRAWS = 1000
SLOPES, PLACES, FINE = (1.5, 2.0, 3.0, 5.0), 16, 201


@dataclass(frozen=True)
class Dose:
    """Means of arms over rising shares, their variances and the variances' degrees of freedom."""

    shares: Floats
    means: Floats
    variances: Floats
    df: float

    @cached_property
    def curves(self) -> list[tuple[tuple[float, float], Floats, Floats]]:
        """Each (e, b) of the grid, columns [shares, 3] of its hormetic curve, and what solves for them."""
        least = self.shares[self.shares > 0].min() / 2
        places = least * (2 * self.shares.max() / least) ** np.linspace(0, 1, PLACES)
        pairs = [((e, b), columns(self.shares, e, b)) for e in places for b in SLOPES]
        root = np.diag(1 / np.sqrt(self.variances))
        return [(pair, design, np.linalg.lstsq(root @ design, root, rcond=1e-6)[0]) for pair, design in pairs]

    def hormetic(self, values: Floats) -> tuple[Floats, Floats]:
        """Curves that are lowest inside and fall at first, of rows [sets, shares]: least squared error,
        infinite without one, and the place of the best in `curves`.
        """
        least, best = np.full(len(values), np.inf), np.zeros(len(values), dtype=int)
        for place, (_, design, solution) in enumerate(self.curves):
            fits = values @ solution.T
            fitted = fits @ design.T
            errors = (values - fitted) ** 2 @ (1 / self.variances)
            lowest = fitted.argmin(axis=1)
            better = (lowest > 0) & (lowest < len(self.shares) - 1) & (fits[:, 2] > 0) & (errors < least)
            least[better], best[better] = errors[better], place
        return least, best

    def lowest(self, values: Floats, best: Floats) -> float:
        """Where the best curve of one row is lowest on a fine grid of shares; NaN at an end."""
        fine = np.linspace(self.shares[0], self.shares[-1], FINE)
        pair, _, solution = self.curves[int(best)]
        place = int((columns(fine, *pair) @ solution @ values).argmin())
        return float(fine[place]) if 0 < place < FINE - 1 else np.nan

    def monotone(self, values: Floats) -> tuple[Floats, Floats]:
        """The better of rising and falling fits of rows [sets, shares], and its squared error."""
        weights, k = 1 / self.variances, values.shape[1]
        best, least = values.copy(), np.full(len(values), np.inf)
        for cuts in itertools.product([False, True], repeat=k - 1):
            blocks = np.concatenate([[0], np.cumsum(cuts)])
            member = blocks[:, None] == np.arange(blocks[-1] + 1)
            levels = (values * weights) @ member / (weights @ member)
            steps = np.diff(levels, axis=1)
            fits = levels[:, blocks]
            errors = ((values - fits) ** 2 * weights).sum(axis=1)
            better = ((steps >= 0).all(axis=1) | (steps <= 0).all(axis=1)) & (errors < least)
            best, least = np.where(better[:, None], fits, best), np.where(better, errors, least)
        return best, least

    def simulated(self, truth: Floats, rng: np.random.Generator, draws: int = OWN_DRAWS) -> Floats:
        """Likelihood ratios where `truth` holds, the variance estimated anew by `df`."""
        values = rng.normal(truth, np.sqrt(self.variances), (draws, len(truth)))
        scale = rng.chisquare(self.df, draws) / self.df
        return (self.monotone(values)[1] - self.hormetic(values)[0]) / scale

    def truths(self) -> list[Floats]:
        """Three monotone curves: the isotonic fit, that made flat where it is so within noise, a hinge."""
        fit = self.monotone(self.means[None])[0][0]
        near = fit - fit.min() < 2 * np.sqrt(2 * self.variances)
        flat = np.where(near, np.average(self.means[near], weights=1 / self.variances[near]), fit)
        hinges = []
        for knot in self.shares[:-1]:
            for ramp in (
                np.clip(self.shares - knot, 0, None),
                np.clip(self.shares.max() - knot - self.shares, 0, None),
            ):
                # A straight line in the ramp, by weighted least squares.
                line = (
                    np.polyfit(ramp, self.means, 1, w=1 / np.sqrt(self.variances)) if np.ptp(ramp) else None
                )
                fitted = np.full(len(ramp), np.average(self.means, weights=1 / self.variances))
                fitted = fitted if line is None else np.polyval(line, ramp)
                hinges.append(
                    (float(((self.means - fitted) ** 2 / self.variances).sum()), len(hinges), fitted)
                )
        return [fit, flat, min(hinges)[2]]

    def p(self, seed: int = 1, draws: int = OWN_DRAWS) -> float:
        """The largest p of the three truths; 1 where no curve dips inside."""
        ratio = float((self.monotone(self.means[None])[1] - self.hormetic(self.means[None])[0])[0])
        if not np.isfinite(ratio):
            return 1.0
        rng = np.random.default_rng(seed)
        exceeding = [(self.simulated(truth, rng, draws) >= ratio).sum() for truth in self.truths()]
        return float(max(1 + count for count in exceeding) / (draws + 1))

    def optimum(self, draws: int = OWN_DRAWS) -> tuple[float, Floats]:
        """Where the best curve is lowest, and where inside those of data drawn from it are."""
        _, best = self.hormetic(self.means[None])
        _, design, solution = self.curves[int(best[0])]
        rng, curve = np.random.default_rng(3), design @ solution @ self.means
        scale = np.sqrt(self.variances * self.df / rng.chisquare(self.df, (draws, 1)))
        values = curve + rng.normal(size=(draws, len(curve))) * scale
        errors, bests = self.hormetic(values)
        optima = [self.lowest(row, place) for row, place, error in zip(values, bests, errors, strict=True)
                  if np.isfinite(error)]  # fmt: skip
        few = len(curve) <= 5
        place = float(self.shares[curve.argmin()]) if few else self.lowest(self.means, best[0])
        return place, np.array([place for place in optima if np.isfinite(place)])

    def evidence(self) -> float:
        """Akaike weights' ratio by Student's likelihood."""
        fit, monotone_error = self.monotone(self.means[None])
        hormetic_error = float(self.hormetic(self.means[None])[0][0])
        if not np.isfinite(hormetic_error):
            return 0.0
        k = len(self.shares)
        parameters = len(np.unique(fit[0].round(12))) - min(5, k)
        growth = (self.df + k) * np.log((1 + monotone_error[0] / self.df) / (1 + hormetic_error / self.df))
        return float(np.exp(growth / 2 + parameters))

    def power(self, place: int, depth: float, alpha: float) -> float:
        """Power for a dip of this depth of one arm below level others."""
        rng = np.random.default_rng(2)
        dipped = np.where(np.arange(len(self.shares)) == place, -depth, 0.0)
        truths = Dose(self.shares, dipped, self.variances, self.df).truths()
        critical = max(np.quantile(self.simulated(truth, rng, 4 * OWN_DRAWS), 1 - alpha) for truth in truths)
        return float((self.simulated(dipped, rng) > critical).mean())


def columns(shares: Floats, e: float, b: float) -> Floats:
    """Of y = d + (u - d) h - f share (1 - h), h = z / (1 + z), z = (share / e)^b: those of d, u - d, f."""
    h = 1 - 1 / (1 + (shares / e) ** b)
    return np.column_stack([np.ones_like(shares), h, shares * (h - 1)])


def dose_of(shares: list[float], levels: list[Level]) -> Dose | None:
    """Arms over rising shares; only what prompts and noise do differently from arm to arm counts."""
    variance = common_variance(levels)
    if variance is None:
        return None
    seeds = np.array([level.seeds for level in levels])
    noise = np.array([level.noise for level in levels]) / seeds
    between = variance[0] / seeds
    n = levels[0].parts.shape[1]
    # What a prompt does alike to every arm moves the curve, not its shape.
    by_arm = Level(0.0, np.stack([level.parts.mean(axis=0) for level in levels])).noise
    few = between + np.minimum(between, noise)
    many = noise - np.minimum(between, noise) + max(0.0, by_arm - noise.mean())
    total = few.mean() ** 2 / variance[1] + many.mean() ** 2 / max(n - 1, 1)
    df = float((few + many).mean() ** 2 / total) if total > 0 else float(variance[1])
    return Dose(np.array(shares), np.array([level.value for level in levels]), few + many, df)
