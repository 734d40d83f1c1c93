"""How often texts of each group are flagged, beside the other groups, and beside groups that mean nothing.

Knows scores and names of groups only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hormesis.pipeline.statistics.arms import HALF
from hormesis.pipeline.statistics.estimates import (
    SCORE,
    Estimate,
    Floats,
    StatisticsError,
    above,
    mean_interval,
    proportion,
)

Z = 1.959964
"""Of a two-sided 95 % interval of a normal."""
FEWEST_FLAGGED = 10
"""Flagged texts of all groups from which on ratios are given: with fewer the halves that are added decide."""


@dataclass(frozen=True, slots=True)
class GroupRate:
    """How one group of texts is scored; `ratio` and `p` are None below FEWEST_FLAGGED."""

    group: str
    score: Estimate
    rate: Estimate
    """Part of its texts that are flagged."""
    ratio: Estimate | None
    """`rate` over that of all other groups together."""
    p: float | None
    """Chance that permuted groups have a largest ratio of at least this one: corrected for all groups."""


@dataclass(frozen=True, slots=True)
class GroupRates:
    """All groups of some texts. `null`: 2.5 %, median and 97.5 % of the largest ratio of permuted ones."""

    groups: list[GroupRate]
    null: tuple[float, float, float] | None


def group_rates(
    scores: ArrayLike, groups: Sequence[str], *, unit: str, draws: int = 1000, seed: int = 0
) -> GroupRates:
    """Mean score and rate above 0.5 by group; `scores` [n] from 0 to 1, `groups` [n] their names.

    Rates have Wilson's interval, ratios that of the log ratio with half a text added (Walter 1975; Pettigrew,
    Gart and Thomas 1986). The null keeps the sizes of groups and the number flagged and deals the flags out
    at random (multivariate hypergeometric); `p` compares with the largest ratio of each deal (Westfall and
    Young 1993). Texts count as independent. Raises StatisticsError for fewer than two groups.
    """
    values = np.asarray(scores, dtype=np.float64)
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2 or places.shape != values.shape:
        raise StatisticsError("rates by group need two groups or more, and a group for each score")
    sizes = np.bincount(places)
    counts = np.bincount(places, weights=above(values)).astype(np.int64)
    means = [mean_interval(values[places == place], draws=draws, bounds=SCORE, unit=unit)
             for place in range(len(names))]  # fmt: skip
    rates = [proportion(int(count), int(size), unit) for count, size in zip(counts, sizes, strict=True)]
    columns = list(zip(map(str, names), means, rates, strict=True))
    if counts.sum() < FEWEST_FLAGGED:
        return GroupRates([GroupRate(*column, None, None) for column in columns], None)
    dealt = np.random.default_rng(seed).multivariate_hypergeometric(sizes, int(counts.sum()), size=draws)
    largest = _ratios(dealt, sizes).max(axis=1)
    ratios, errors = _ratios(counts, sizes), _errors(counts, sizes)
    result = []
    for column, ratio, error in zip(columns, ratios, errors, strict=True):
        low, high = (float(ratio * math.exp(side * Z * error)) for side in (-1, 1))
        text = f"log ratio, half a text added, normal over {unit}, 95%"
        p = float((1 + (largest >= ratio * (1 - 1e-12)).sum()) / (draws + 1))
        result.append(GroupRate(*column, Estimate(float(ratio), low, high, len(values), text), p))
    ends = np.quantile(largest, (0.025, 0.5, 0.975))
    return GroupRates(result, (float(ends[0]), float(ends[1]), float(ends[2])))


def _ratios(counts: NDArray[np.int64], sizes: NDArray[Any]) -> Floats:
    """Each group's rate over that of the others; `counts` [..., groups] flagged of `sizes` [groups]."""
    others = counts.sum(axis=-1, keepdims=True) - counts
    rest = sizes.sum() - sizes
    return np.asarray((counts + HALF) / (sizes + HALF) / ((others + HALF) / (rest + HALF)))


def _errors(counts: NDArray[np.int64], sizes: NDArray[Any]) -> Floats:
    """Standard errors of the logs of these ratios."""
    others, rest = counts.sum() - counts, sizes.sum() - sizes
    sides = [1 / (flagged + HALF) - 1 / (size + HALF) for flagged, size in ((counts, sizes), (others, rest))]
    return np.asarray(np.sqrt(sides[0] + sides[1]))
