"""The effect of rarity as a difference in differences, with intervals over seeds.

Knows measures as plain numbers. The effect of a run is (u - u at r = 1) - (c - c at r = 1) within its seed:
u the mean entanglement of the rare chain's features, c that of the controls. DiD is its mean over the low
shares, taken per seed first: the seed is the unit of every interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hormesis.pipeline.statistics import over_runs
from hormesis.pipeline.toy.config import LOW, REFERENCE, Split

LEARNED = 0.99
"""Accuracy on the rare chain from which on it counts as learned."""


@dataclass(frozen=True)
class RunValues:
    """What the effect needs of one run: accuracy of the rare chain, mean entanglement of both groups."""

    share: float
    seed: int
    accuracy: float
    rare: float
    control: float


@dataclass(frozen=True)
class Effect:
    """A DiD over seeds; `value` is None where no run falls into the split, the ends with one seed."""

    split: Split
    value: float | None
    low: float | None
    high: float | None
    seeds: int
    runs: int
    positive: int
    """Seeds whose own DiD is above zero."""
    interval: str


def run_effects(rows: Sequence[RunValues]) -> list[tuple[RunValues, float]]:
    """Each run but the references with its effect; seeds without a run at r = 1 are left out."""
    base = {row.seed: row for row in rows if row.share == REFERENCE}
    effects = []
    for row in rows:
        reference = base.get(row.seed)
        if reference is not None and row.share != REFERENCE:
            gap = (row.rare - reference.rare) - (row.control - reference.control)
            effects.append((row, gap))
    return effects


def effect(rows: Sequence[RunValues], split: Split = "all", level: float = 0.95) -> Effect:
    """DiD over the low shares, of all runs or of those whose rare chain is (not yet) learned.

    Student's interval over the seeds' means.
    """
    effects_by_seed: dict[int, list[float]] = {}
    for row, value in run_effects(rows):
        if row.share <= LOW and (split == "all" or (row.accuracy >= LEARNED) == (split == "learned")):
            effects_by_seed.setdefault(row.seed, []).append(value)
    means = np.array([np.mean(values) for _, values in sorted(effects_by_seed.items())])
    runs, positive = sum(map(len, effects_by_seed.values())), int((means > 0).sum())
    estimate = partial(Effect, split=split, seeds=len(means), runs=runs, positive=positive)
    if not len(means):
        return estimate(value=None, low=None, high=None, interval="no run in this split")
    mean = over_runs(means, level=level)
    return estimate(value=mean.value, low=mean.low, high=mean.high, interval=mean.method)
