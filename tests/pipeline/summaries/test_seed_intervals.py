"""Intervals over seeds, contrasts, Holm and power: real coverage by simulation, and independent packages."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from statsmodels.api import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_ind

from hormesis.pipeline.statistics import (
    SCORE,
    Contrast,
    Estimate,
    StatisticsError,
    all_agree,
    contrast,
    mean_interval,
    over_directions,
    over_intervals,
    over_runs,
    over_seeds,
    paired_difference,
    pooled_spread,
    share_spread,
)
from hormesis.pipeline.statistics.multiplicity import holm
from hormesis.pipeline.statistics.power import detectable, power

PROMPTS = 60


def study(rng: np.random.Generator, seeds: int, ratio: float, *, arms: int = 5) -> list[NDArray[np.float64]]:
    """Arms [seeds, prompts] of truth 0; `ratio`: variance of seeds over that of prompts' means."""
    common = rng.normal(0, 1, PROMPTS)
    spread = np.sqrt(ratio * 2 / PROMPTS)
    return [
        rng.normal(0, spread, (seeds, 1))
        + common
        + rng.normal(0, 0.5, PROMPTS)
        + rng.normal(0, 1, (seeds, PROMPTS))
        for _ in range(arms)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5, 9])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 10.0])
def test_intervals_over_seeds_cover_at_their_rate(seeds: int, ratio: float) -> None:
    rng = np.random.default_rng(seeds)
    hits = np.zeros(4)
    trials = 250
    for _ in range(trials):
        arms = study(rng, seeds, ratio)
        alone = over_seeds(list(arms[0]))
        spread = pooled_spread([arm.mean(axis=1) for arm in arms])
        pooled = over_seeds(list(arms[0]), spread=spread)
        pair, all_arms = contrast(arms[:2], [1, -1]), contrast(arms[:2], [1, -1], pool=arms)
        assert pair is not None and all_arms is not None
        ends = [(alone.low, alone.high), (pooled.low, pooled.high), pair.interval(), all_arms.interval()]
        hits += [low <= 0 <= high for low, high in ends]  # type: ignore[operator]
    # Three standard errors below 95 % in 250 trials is 91 %; percentile bootstraps of 60 prompts lose 1 more.
    assert (hits / trials >= 0.90).all(), hits / trials
    # Not needlessly wide where seeds are many or the spread is pooled.
    assert hits[1] / trials <= 0.995 and (seeds < 5 or hits[0] / trials <= 0.995)


def with_ends(means: ArrayLike, half: ArrayLike, n: int = 64) -> list[Estimate]:
    """Seeds' means with intervals over prompts of these half widths."""
    pairs = np.broadcast_arrays(np.asarray(means), np.asarray(half))
    return [
        Estimate(mean, mean - half, mean + half, n, "over prompts") for mean, half in zip(*pairs, strict=True)
    ]


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("ratio", [0.0, 10.0])
def test_intervals_over_seeds_intervals_cover_and_are_not_much_wider(seeds: int, ratio: float) -> None:
    """Only each seed's mean and interval over prompts are known, not the prompts' values."""
    rng, trials = np.random.default_rng(seeds), 250
    hits = 0.0
    widths = np.zeros(2)
    for _ in range(trials):
        arms = study(rng, seeds, ratio)
        spread = pooled_spread([arm.mean(axis=1) for arm in arms])
        means, errors = arms[0].mean(axis=1), stats.sem(arms[0], axis=1)
        half = stats.t.ppf(0.975, PROMPTS - 1) * errors
        summary = over_intervals(with_ends(means, half, n=PROMPTS), spread=spread)
        full = over_seeds(list(arms[0]), spread=spread)
        assert summary.value == pytest.approx(full.value) and summary.n == full.n
        assert None not in (summary.low, summary.high, full.low, full.high)
        hits += summary.low <= 0 <= summary.high  # type: ignore[operator]
        widths += summary.high - summary.low, full.high - full.low  # type: ignore[operator]
    assert hits / trials >= 0.92 and 0.9 < widths[0] / widths[1] < 1.4


def test_intervals_of_two_seeds_are_not_those_of_a_normal() -> None:
    means = np.array([10.0, 14.0])
    alone = over_intervals(with_ends(means, 1.0))
    # Student's t of one degree of freedom, 12.7, on the mean of two; the prompts' own 1 is shared by both.
    assert alone.high == pytest.approx(12 + np.hypot(12.706 * np.sqrt(8 / 2), 1), abs=1e-3)
    pooled = over_intervals(with_ends(means, 1.0), spread=pooled_spread([means, [3, 5], [7, 9]]))
    assert pooled.high is not None and alone.high is not None and pooled.high < alone.high / 2
    assert "df 3" in pooled.method and "2 seeds" in alone.method and alone.n == 64
    student = over_runs([1.0, 2.0, 4.0])
    assert student.n == 3 and over_runs([4.0]).low is None
    reference = stats.ttest_1samp([1.0, 2.0, 4.0], 0).confidence_interval()
    assert (student.low, student.high) == pytest.approx(tuple(reference))
    assert over_intervals(with_ends([1.0, 9.0], 1.0), bounds=(0, 100)).low == 0
    single = over_intervals([Estimate(5.0, 4.0, 7.0, 64, "Wilson")])
    assert single == Estimate(5.0, 4.0, 7.0, 64, "Wilson; one seed only")
    with pytest.raises(StatisticsError):
        over_intervals([])


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("ratio", [0.0, 10.0])
@pytest.mark.parametrize("nested", [False, True])
def test_intervals_over_random_directions_cover_at_their_rate(seeds: int, ratio: float, nested: bool) -> None:
    """Five directions on the same prompts; `nested`: each seed has its own; `ratio`: as in `study`."""
    rng, directions, trials = np.random.default_rng(seeds), 5, 200
    scale, hits = np.sqrt(2 / PROMPTS), 0
    for _ in range(trials):
        common = rng.normal(0, 1, PROMPTS)
        arms = [
            rng.normal(0, scale, (seeds, 1, 1))
            + common
            + rng.normal(0, scale * np.sqrt(ratio), (seeds if nested else 1, directions, 1))
            + rng.normal(0, 0.5, (seeds, 1, PROMPTS))
            + rng.normal(0, 1, (seeds, directions, PROMPTS))
            for _arm in range(5)
        ]
        spread = pooled_spread([arm.mean(axis=(1, 2)) for arm in arms])
        interval = over_directions([list(of_seed) for of_seed in arms[0]], spread=spread, draws=100)
        assert interval.low is not None and interval.high is not None
        hits += interval.low <= 0 <= interval.high
    assert hits / trials >= 0.92


def test_random_directions_are_averaged_first_and_stay_within_the_scale() -> None:
    rng = np.random.default_rng(4)
    scores = rng.random((2, 5, 40, 2)) * 0.02
    several = over_directions([list(of_seed) for of_seed in scores], bounds=SCORE)
    mean = over_seeds(list(scores.mean(axis=1)), bounds=SCORE)
    assert several.value == pytest.approx(mean.value) and several.n == mean.n == 40
    assert several.low is not None and mean.high is not None and several.high is not None
    assert several.low >= 0 and several.high > mean.high and "5 random directions" in several.method
    # Directions alone differ: Student's t with four degrees of freedom.
    levels = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    apart = over_directions([[np.full(40, level) for level in levels]] * 2)
    reference = stats.ttest_1samp(levels, 0).confidence_interval()
    assert (apart.low, apart.high) == pytest.approx(tuple(reference))
    assert over_directions([[seed] for seed in scores[:, 0]], bounds=SCORE) == over_seeds(
        list(scores[:, 0]), bounds=SCORE
    )
    nats, tokens = rng.random((2, 3, 30)), [np.full(30, 10.0)] * 2
    cost = over_directions([list(of_seed) for of_seed in nats], tokens)
    assert cost.value == pytest.approx(nats.mean() / 10)


def test_resampling_two_seeds_would_be_too_narrow() -> None:
    rng = np.random.default_rng(0)
    naive = joint = 0
    for _ in range(300):
        runs = study(rng, 2, 10.0, arms=1)[0]
        means = runs.mean(axis=1)
        resampled = means[rng.integers(0, 2, (300, 2))].mean(axis=1)
        low, high = np.quantile(resampled, [0.025, 0.975])
        naive += low <= 0 <= high
        interval = over_seeds(list(runs))
        assert interval.low is not None and interval.high is not None
        joint += interval.low <= 0 <= interval.high
    assert naive / 300 < 0.7 < 0.92 <= joint / 300


def test_a_contrast_of_two_arms_is_students_test() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 4), rng.normal(1, 1, 6)
    difference = contrast([a, b], [1, -1])
    assert difference is not None
    reference = stats.ttest_ind(a, b)
    assert difference.p_value() == pytest.approx(reference.pvalue)
    assert difference.interval() == pytest.approx(tuple(reference.confidence_interval()))
    assert difference.equivalence(2.0) == pytest.approx(ttost_ind(a, b, -2.0, 2.0)[0])
    assert difference.equivalence(0.1) == pytest.approx(ttost_ind(a, b, -0.1, 0.1)[0])
    with pytest.raises(StatisticsError, match="margin"):
        difference.equivalence(0)


def test_a_pooled_contrast_is_the_linear_models() -> None:
    rng = np.random.default_rng(2)
    arms = [rng.normal(mean, 1, count) for mean, count in ((0, 2), (1, 3), (2, 2), (0, 4))]
    places = np.repeat(range(4), [len(arm) for arm in arms])
    model = OLS(np.concatenate(arms), np.eye(4)[places]).fit()
    reference = model.t_test([1, 0, -1, 0])
    difference = contrast([arms[0], arms[2]], [1, -1], pool=arms)
    assert difference is not None
    assert difference.p_value() == pytest.approx(float(reference.pvalue))
    assert difference.interval() == pytest.approx(tuple(reference.conf_int()[0]))
    level = contrast([arms[3]], [1])
    assert level is not None and level.p_value() == pytest.approx(stats.ttest_1samp(arms[3], 0).pvalue)


def test_prompts_are_paired_and_their_noise_is_counted_once() -> None:
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 3, 400)
    arms = [mean + hard + rng.normal(0, 0.1, (3, 400)) for mean in (0.0, 0.5)]
    difference = contrast(arms, [1, -1])
    assert difference is not None and difference.p_value() < 0.01 and difference.n == 400
    # Pure noise: the variance of the difference is 2 / (seeds x prompts), not twice that.
    errors = []
    for _ in range(200):
        noise = contrast(list(rng.normal(0, 1, (2, 4, 100))), [1, -1])
        assert noise is not None
        errors.append(noise.error**2)
    assert np.median(errors) == pytest.approx(2 / 400, rel=0.35)


@pytest.mark.parametrize("value", [1e-300, 1e-17, -1e-13, 1e-9, 1.0, 1e6])
def test_a_p_value_is_there_for_any_difference(value: float) -> None:
    difference = Contrast(
        value=value, seed_variance=0.02, seed_df=4, prompt_variance=0.01, prompt_df=59, n=60, seeds=2
    )
    assert 0 < difference.p_value() <= 1
    if abs(value) < 1e-12:  # rounding, not an effect
        assert difference.p_value() == pytest.approx(1.0, abs=1e-9)
    low, high = difference.interval(1 - difference.p_value())
    assert abs(value) > 1e3 or min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9)


def test_one_seed_gives_no_contrast_and_unequal_prompts_are_refused() -> None:
    assert contrast([np.zeros((1, 5)), np.ones((1, 5))], [1, -1]) is None
    with pytest.raises(StatisticsError, match="same prompts"):
        contrast([np.zeros((2, 5)), np.zeros((2, 4))], [1, -1])


def test_agreeing_scores_get_an_exact_bound_and_say_so() -> None:
    for n in (1, 30, 512):
        reference = stats.binomtest(0, n).proportion_ci(method="exact")
        interval = all_agree(0.0, n, SCORE)
        assert interval.low == 0 and interval.high == pytest.approx(reference.high)
        assert interval.high == pytest.approx(proportion_confint(0, n, method="beta")[1])
    # One-sided at 95 %, this is the rule of three.
    assert all_agree(0.0, 300, SCORE, level=0.90).high == pytest.approx(3 / 300, rel=0.02)
    seeds = over_seeds([np.zeros(64), np.zeros(64)], bounds=SCORE)
    assert (seeds.low, seeds.high) == (0, pytest.approx(all_agree(0.0, 64, SCORE).high))
    assert "agree" in seeds.method and "2 seeds" in seeds.method
    middle = mean_interval(np.full(50, 0.3), bounds=SCORE)
    assert middle.low is not None and middle.high is not None
    assert 0.25 < middle.low < 0.3 < middle.high < 0.37
    assert paired_difference(np.ones(9), np.ones(9), bounds=(-1, 1)).high == pytest.approx(
        stats.binomtest(0, 9).proportion_ci(method="exact").high
    )


@pytest.fixture(scope="module")
def few_objects() -> None:
    """statsmodels collects garbage at every call, which takes a quarter of a second among many modules."""
    gc.freeze()


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(few_objects: None, p: list[float]) -> None:
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


def test_power_is_statsmodels() -> None:
    rng = np.random.default_rng(5)
    for seeds in (2, 3, 9):
        arms = rng.normal(0, 1, (2, seeds))
        difference = contrast(list(arms), [1, -1])
        assert difference is not None
        sd = np.sqrt(arms.var(axis=1, ddof=1).mean())
        reference = TTestIndPower()
        smallest = detectable(difference)
        assert smallest / sd == pytest.approx(
            reference.solve_power(nobs1=seeds, alpha=0.05, power=0.8), rel=1e-3
        )
        assert power(difference, smallest) == pytest.approx(0.8, abs=1e-6)


def test_power_is_what_a_simulation_finds() -> None:
    rng = np.random.default_rng(6)
    arms = study(rng, 3, 1.0)
    difference = contrast(arms[:2], [1, -1], pool=arms)
    assert difference is not None
    expected = hits = 0.0
    for _ in range(400):
        arms = study(rng, 3, 1.0)
        arms[0] = arms[0] + 0.9
        difference = contrast(arms[:2], [1, -1], pool=arms)
        assert difference is not None
        hits += difference.p_value() <= 0.05
        expected += power(difference, 0.9)
    assert hits / 400 == pytest.approx(expected / 400, abs=0.1)


def test_where_all_agree_only_answers_count() -> None:
    seeds = [np.r_[np.zeros(n), np.full(40 - n, np.nan)] for n in (36, 30)]
    estimate = over_seeds(seeds, bounds=SCORE)
    assert estimate.high == pytest.approx(proportion_confint(0, 30, method="beta")[1])
    assert "all 30 agree" in estimate.method


def test_n_counts_each_prompt_once_that_some_seed_answers() -> None:
    rng = np.random.default_rng(12)
    seeds = [rng.random(40), rng.random(40)]
    seeds[0][:4], seeds[1][2:10] = np.nan, np.nan
    assert over_seeds(seeds, bounds=SCORE).n == over_seeds(seeds).n == 38
    assert over_directions([[seed, seed] for seed in seeds]).n == 38
    assert over_intervals([Estimate(0.5, 0.4, 0.6, n, "") for n in (36, 32)]).n == 36


def test_the_spread_of_shares_counts_the_answers_of_each_seed() -> None:
    arms, counts = [[0.1, 0.2], [0.0, 0.05]], [[10.0, 40.0], [20.0, 20.0]]
    spread, other = share_spread(arms, counts), share_spread(arms[::-1], counts[::-1])
    assert spread is not None and other is not None and spread.variance == pytest.approx(other.variance)
    odds = [special.logit([1.5 / 11, 8.5 / 41]), special.logit([0.5 / 21, 1.5 / 21])]
    assert spread.variance == pytest.approx(np.mean([arm.var(ddof=1) for arm in odds]))
