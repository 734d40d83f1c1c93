"""Rates by group: a planted ratio is named and covered, none is covered by the null, none is invented."""

from __future__ import annotations

import numpy as np
import pytest

from hormesis.pipeline.statistics import StatisticsError
from hormesis.pipeline.statistics.group_rates import FEWEST_FLAGGED, GroupRates, group_rates

NAMES = np.repeat(["zorbs", "quibs", "flonts", "morvels", "tarnicks"], 200)


def flagged(seed: int, ratio: float) -> GroupRates:
    """Rates of a scorer that flags `quibs` with `ratio` times the chance of the others, 0.2."""
    chances = np.where(NAMES == "quibs", 0.2 * ratio, 0.2)
    return group_rates(np.random.default_rng(seed).random(len(NAMES)) < chances, NAMES.tolist(), unit="texts")


def test_a_group_flagged_twice_as_often_is_named_with_a_ratio_that_covers_two() -> None:
    rates = flagged(0, 2.0)
    largest = max(rates.groups, key=lambda group: group.ratio.value if group.ratio else 0.0)
    assert largest.group == "quibs" and largest.ratio is not None and rates.null is not None
    assert largest.ratio.low is not None and largest.ratio.high is not None and largest.p is not None
    assert 1.4 < largest.ratio.low < 2 < largest.ratio.high and largest.ratio.value > rates.null[2]
    assert largest.p <= 0.002 and largest.rate.n == 200 and "Wilson" in largest.rate.method
    others = [group.p for group in rates.groups if group.group != "quibs"]
    assert min(p for p in others if p is not None) > 0.5


def test_ratios_cover_their_truth_and_the_null_holds_the_largest_of_a_fair_scorer() -> None:
    trials = 150
    hits = np.zeros(3)
    for seed in range(trials):
        planted, fair = flagged(seed, 2.0), flagged(seed + trials, 1.0)
        quibs = next(group.ratio for group in planted.groups if group.group == "quibs")
        largest = max(group.ratio.value for group in fair.groups if group.ratio)
        assert quibs is not None and quibs.low is not None and quibs.high is not None and fair.null
        covers = quibs.low <= 2 <= quibs.high, fair.null[0] <= largest <= fair.null[2]
        hits += [*covers, min(group.p for group in fair.groups if group.p is not None) <= 0.05]
    # Three standard errors of 150 trials at 95 % and at 5 %.
    assert hits[0] / trials >= 0.89 and hits[1] / trials >= 0.89 and hits[2] / trials <= 0.11


def test_a_scorer_that_flags_nothing_has_rates_and_no_ratio() -> None:
    rates = group_rates(np.zeros(len(NAMES)), NAMES.tolist(), unit="texts")
    assert rates.null is None and {group.ratio for group in rates.groups} == {None}
    few = group_rates(np.arange(len(NAMES)) < FEWEST_FLAGGED - 1, NAMES.tolist(), unit="texts")
    assert few.null is None and few.groups[4].rate.value == (FEWEST_FLAGGED - 1) / 200
    high = rates.groups[0].rate.high
    assert high is not None and 0 < high < 0.03 and rates.groups[0].rate.value == 0
    with pytest.raises(StatisticsError, match="two groups"):
        group_rates([0.1, 0.9], ["a", "a"], unit="texts")


def test_the_null_is_that_of_permuted_labels() -> None:
    """Dealing counts is the same as permuting the flags over the texts one by one."""
    flags = np.random.default_rng(3).random(len(NAMES)) < 0.3
    null = group_rates(flags, NAMES.tolist(), unit="texts").null
    rng, largest = np.random.default_rng(4), []
    for _ in range(1000):
        permuted = rng.permutation(flags)
        counts = np.array([permuted[name == NAMES].sum() for name in np.unique(NAMES)])
        rest = counts.sum() - counts
        largest.append(((counts + 0.5) / 200.5 / ((rest + 0.5) / 800.5)).max())
    assert null == pytest.approx(np.quantile(largest, (0.025, 0.5, 0.975)), abs=0.04)
