"""Estimates and intervals against scipy, scikit-learn and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score

from hormesis.pipeline.statistics import (
    StatisticsError,
    expected_maximum,
    fire_rate,
    mean_interval,
    over_seeds,
    paired_difference,
    ratio_interval,
)
from hormesis.pipeline.statistics.discrimination import agreement, auroc, balanced_accuracy, discriminate


@pytest.mark.parametrize(("method", "scipy_method"), [("percentile", "percentile"), ("bca", "BCa")])
def test_mean_interval_agrees_with_scipy(method, scipy_method):
    values = np.random.default_rng(1).beta(0.6, 2.0, 150)
    interval_of_mean = mean_interval(values, draws=20_000, interval=method)
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method=scipy_method, rng=np.random.default_rng(2)
    ).confidence_interval
    assert interval_of_mean.value == pytest.approx(values.mean())
    assert interval_of_mean.low == pytest.approx(reference.low, abs=0.002)
    assert interval_of_mean.high == pytest.approx(reference.high, abs=0.002)
    assert interval_of_mean.n == 150 and "95%" in interval_of_mean.method


def test_ratio_interval_agrees_with_scipy():
    rng = np.random.default_rng(3)
    tokens = rng.integers(20, 400, 120)
    nats = tokens * rng.normal(2.5, 0.3, 120)
    interval = ratio_interval(nats, tokens, draws=20_000)
    reference = stats.bootstrap(
        (nats, tokens),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=rng,
    ).confidence_interval
    assert interval.value == pytest.approx(nats.sum() / tokens.sum())
    assert (interval.low, interval.high) == pytest.approx((reference.low, reference.high), abs=0.004)


@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_interval_of_a_mean_covers_at_its_rate(interval):
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(400):
        estimate = mean_interval(rng.exponential(1.0, 80), draws=400, seed=trial, interval=interval)
        hits += estimate.low <= 1.0 <= estimate.high
    assert 0.90 <= hits / 400 <= 0.975


def test_cluster_bootstrap_covers_where_a_naive_one_does_not():
    rng = np.random.default_rng(5)
    clustered = naive = 0
    for trial in range(300):
        values = rng.normal(0, 1, (60, 1)) + rng.normal(0, 0.3, (60, 8))
        good = mean_interval(values, draws=300, seed=trial)
        bad = mean_interval(values.ravel(), draws=300, seed=trial)
        clustered += good.low <= 0 <= good.high
        naive += bad.low <= 0 <= bad.high
    assert clustered / 300 > 0.9 > 0.7 > naive / 300


def test_groups_of_equal_size_are_the_same_as_a_matrix():
    values = np.random.default_rng(6).random((40, 5))
    groups = np.repeat(np.arange(40), 5)
    a, b = mean_interval(values), mean_interval(values.ravel(), groups=groups)
    assert (a.value, a.low, a.high, a.n) == pytest.approx((b.value, b.low, b.high, b.n))


def test_paired_difference_is_narrower_than_independent_ones():
    rng = np.random.default_rng(7)
    before = rng.random(200)
    after = before - 0.1 + rng.normal(0, 0.02, 200)
    difference = paired_difference(after, before)
    assert difference.low < -0.1 + 0.005 and difference.high > -0.1 - 0.005
    width = mean_interval(before).high - mean_interval(before).low
    assert difference.high - difference.low < width / 5
    with pytest.raises(StatisticsError, match="same prompts"):
        paired_difference(after, before[:-1])


@given(arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(1, 4)), elements=st.floats(0, 1)))
def test_an_interval_is_ordered_inside_the_data_and_repeatable(values):
    first, again = mean_interval(values, draws=60, seed=9), mean_interval(values, draws=60, seed=9)
    assert first == again
    assert values.min() - 1e-9 <= first.low <= first.high <= values.max() + 1e-9
    if values.shape[1] == 1:
        with pytest.raises(StatisticsError, match="several samples"):
            expected_maximum(values, draws=60)
        return
    largest = expected_maximum(values, draws=60)
    assert largest.value >= first.value - 1e-12 and largest.method.endswith(f"of {values.shape[1]} samples")
    assert largest.value == pytest.approx(values.max(axis=1).mean())


def test_fire_rate_never_claims_certainty():
    none = fire_rate(np.zeros(100))
    wilson = stats.binomtest(0, 100).proportion_ci(method="wilson")
    assert (none.value, none.low) == (0, 0) and none.high == pytest.approx(wilson.high)
    certain = fire_rate(np.ones((50, 3)))
    wilson = stats.binomtest(50, 50).proportion_ci(method="wilson")
    assert certain.high == 1 and certain.low == pytest.approx(wilson.low)
    assert fire_rate(np.array([0.5, 0.6, 0.4, 0.9])).value == 0.5


def test_over_seeds_says_what_it_knows():
    rng = np.random.default_rng(8)
    runs = [0.3 + shift + rng.normal(0, 0.1, 200) for shift in (-0.05, 0.0, 0.05)]
    single = over_seeds(runs[:1])
    assert "one seed only" in single.method
    assert single.low == mean_interval(runs[0]).low
    estimate, means = over_seeds(runs), np.array([run.mean() for run in runs])
    assert estimate.value == pytest.approx(means.mean()) and "3 seeds" in estimate.method
    assert estimate.low < means.mean() - 0.02 and estimate.high > means.mean() + 0.02
    # Where seeds differ by far more than their answers' noise, this is Student's interval of their means.
    apart = [level + rng.normal(0, 0.01, 200) for level in (0.2, 0.3, 0.5)]
    low, high = stats.t.interval(0.95, 2, np.mean(apart), stats.sem([run.mean() for run in apart]))
    student = over_seeds(apart)
    assert (student.low, student.high) == pytest.approx((low, high), abs=1e-3)
    with pytest.raises(StatisticsError, match="same prompts"):
        over_seeds([runs[0], runs[1][:-1]])
    ratio = over_seeds([run * 10 for run in runs], [np.full(200, 10.0)] * 3)
    assert ratio.value == pytest.approx(means.mean())


def test_a_single_prompt_has_no_interval():
    estimate = mean_interval([0.4])
    assert (estimate.value, estimate.low, estimate.high) == (0.4, None, None)
    assert estimate.scaled(100).value == pytest.approx(40) and estimate.scaled(100).low is None


def test_scaling_by_a_negative_factor_keeps_the_ends_in_order():
    estimate = mean_interval([0.1, 0.2, 0.4]).scaled(-1)
    assert estimate.low <= estimate.value <= estimate.high


@pytest.mark.parametrize("values", [[], [float("nan"), 1.0], np.zeros((2, 2, 2))])
def test_useless_values_are_refused(values):
    with pytest.raises(StatisticsError):
        mean_interval(values)


def test_discrimination_agrees_with_sklearn_for_every_row():
    rng = np.random.default_rng(10)
    labels = rng.random(300) < 0.3
    scores = np.round(rng.normal(0, 1, (6, 300)) + labels * np.arange(6)[:, None] * 0.4, 1)
    for row, accuracy, area in zip(
        scores, balanced_accuracy(scores, labels), auroc(scores, labels), strict=True
    ):
        assert accuracy == pytest.approx(balanced_accuracy_score(labels, row > 0))
        assert area == pytest.approx(roc_auc_score(labels, row))


@pytest.mark.slow
def test_vectorised_intervals_equal_a_loop_of_resamples():
    rng = np.random.default_rng(11)
    labels = np.arange(160) % 4 == 0
    scores = np.round(rng.normal(0, 1, 160) + labels, 1)
    result = discriminate(scores, labels, draws=4000)
    areas, accuracies = [], []
    for _ in range(2000):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(labels == kind), (labels == kind).sum()) for kind in (True, False)]
        )
        areas.append(roc_auc_score(labels[rows], scores[rows]))
        accuracies.append(balanced_accuracy_score(labels[rows], scores[rows] > 0))
    bounds = [result.auroc_low[0], result.auroc_high[0], result.accuracy_low[0], result.accuracy_high[0]]
    expected = [*np.quantile(areas, [0.025, 0.975]), *np.quantile(accuracies, [0.025, 0.975])]
    assert bounds == pytest.approx(expected, abs=0.012)


def test_intervals_of_a_row_do_not_depend_on_the_other_rows():
    rng = np.random.default_rng(12)
    labels = np.arange(100) % 2 == 0
    scores = rng.normal(0, 1, (5, 100))
    everything, third = discriminate(scores, labels), discriminate(scores[2], labels)
    assert everything.auroc_low[2] == third.auroc_low[0]
    assert everything.accuracy_high[2] == pytest.approx(third.accuracy_high[0])


def test_one_class_is_refused():
    with pytest.raises(StatisticsError, match="both classes"):
        discriminate(np.zeros(4), np.ones(4))


def test_agreement_of_scorers():
    rng = np.random.default_rng(13)
    a = rng.random(200)
    b = np.clip(a + rng.normal(0, 0.2, 200), 0, 1)
    result = agreement(a, b)
    assert result.spearman == pytest.approx(stats.spearmanr(a, b).statistic)
    assert result.kappa == pytest.approx(cohen_kappa_score(a > 0.5, b > 0.5))
    assert agreement(np.zeros(5), np.zeros(5)) == agreement(np.full(5, 0.1), np.full(5, 0.2))
    assert agreement(np.zeros(5), a[:5]).spearman is None
