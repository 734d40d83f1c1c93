"""Curves over the share, fitted to many data sets at once: monotone ones and hormetic ones.

Knows shares, means and weights only. Hormetic is the curve of Brain and Cousens (1989), turned over because
here the low dose lowers what is measured: with `h = z / (1 + z)` and `z = (share / e)^b`,
`y = d + (u - d) h - f share (1 - h)`: `d` without any toxic text, `u` far to the right, `f` the slope of the
benefit. For given (e, b) it is linear in (d, u - d, f), so a grid over (e, b) fits every data set at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hormesis.pipeline.statistics import Floats

SLOPES = (1.5, 2.0, 3.0, 5.0)
PLACES = 16
FINE = 201


@dataclass(frozen=True, eq=False)
class Hormetic:
    """Best curves with a lowest tested share inside. `sse` is infinite where no curve has one. All [sets]."""

    sse: Floats
    e: Floats
    b: Floats
    coefficients: Floats
    """[sets, 3]: d, u - d, f."""


class HormeticFamily:
    """Every curve, by pair (e, b) of the grid, for one list of shares (rising, at least 3) and weights."""

    def __init__(self, shares: Floats, weights: Floats) -> None:
        self.shares, self.weights = shares, weights
        positive = shares[shares > 0]
        places = np.geomspace(positive.min() / 2, shares.max() * 2, PLACES)
        pairs = [(e, b) for e in places for b in SLOPES]
        self._e = np.array([e for e, _ in pairs])
        self._b = np.array([b for _, b in pairs])
        self._design = design(shares, self._e, self._b)
        root = np.sqrt(weights)
        self._solve = np.linalg.pinv(self._design * root[:, None], rcond=1e-6) * root

    def fit(self, values: Floats) -> Hormetic:
        """The best curve for each row of `values` [sets, shares] among those that dip inside and rise.

        Before that, by pair (e, b): `coefficients` [pairs, sets, 3] and `fitted` [pairs, sets, shares].
        """
        coefficients = values @ self._solve.transpose(0, 2, 1)
        fitted = coefficients @ self._design.transpose(0, 2, 1)
        sse = (((values - fitted) ** 2) * self.weights).sum(axis=2)
        lowest = fitted.argmin(axis=2)
        inside = (lowest > 0) & (lowest < len(self.shares) - 1) & (coefficients[..., 2] > 0)
        sse = np.where(inside, sse, np.inf)
        best = sse.argmin(axis=0)
        sets = np.arange(len(values))
        return Hormetic(sse[best, sets], self._e[best], self._b[best], coefficients[best, sets])


def design(shares: Floats, e: Floats, b: Floats) -> Floats:
    """Columns of the curve that (d, u - d, f) multiply: [pairs, shares, 3]."""
    z = (shares[None, :] / e[:, None]) ** b[:, None]
    h = z / (1 + z)
    return np.stack([np.ones_like(h), h, -shares * (1 - h)], axis=2)


def lowest_share(fit: Hormetic, shares: Floats) -> Floats:
    """The share, [sets], where each curve is lowest; NaN where that is an end or there is no curve."""
    fine = np.linspace(shares.min(), shares.max(), FINE)
    curves = np.einsum("sak,sk->sa", design(fine, fit.e, fit.b), fit.coefficients)
    lowest = curves.argmin(axis=1)
    inside = (lowest > 0) & (lowest < FINE - 1) & np.isfinite(fit.sse)
    return np.where(inside, fine[lowest], np.nan)


def isotonic(values: Floats, weights: Floats) -> Floats:
    """Least-squares non-decreasing fits of the rows of `values` [sets, shares], by PAVA's max-min formula.

    (Robertson, Wright and Dykstra 1988.) Equal to sklearn's IsotonicRegression; vectorised over rows.
    """
    count = values.shape[1]
    mass = np.concatenate([[0.0], weights.cumsum()])
    total = np.concatenate([np.zeros((len(values), 1)), (values * weights).cumsum(axis=1)], axis=1)
    fitted = np.empty_like(values)
    for i in range(count):
        lower = []
        for j in range(i + 1):
            ends = np.arange(i + 1, count + 1)
            means = (total[:, ends] - total[:, [j]]) / (mass[ends] - mass[j])
            lower.append(means.min(axis=1))
        fitted[:, i] = np.max(lower, axis=0)
    return fitted


def monotone(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The better of the non-decreasing and the non-increasing fit of each row, and its squared error."""
    up, down = isotonic(values, weights), -isotonic(-values, weights)
    errors = [(((values - fit) ** 2) * weights).sum(axis=1) for fit in (up, down)]
    rises = errors[0] <= errors[1]
    return np.where(rises[:, None], up, down), np.where(rises, *errors)
