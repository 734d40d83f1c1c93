"""Statistics of the heads of arms: against scikit-learn, statsmodels, a plain bootstrap, and stated rates."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import balanced_accuracy_score
from statsmodels.api import OLS

from hormesis.pipeline.probing.feature_cells import find_clusters
from hormesis.pipeline.probing.head_accuracy import (
    CLEAN,
    NAMES,
    THRESHOLDS,
    ArmGroup,
    Hits,
    Summary,
    balanced,
    statistics,
    summarise_heads,
    summarise_means,
)

Bools = NDArray[np.bool_]
MEAN = NAMES.index("mean")
TOXIC = ArmGroup("toxic", 0.25)


def arms_of(
    rng: np.random.Generator,
    *,
    gain: float,
    seeds: int = 3,
    statements: int = 300,
    heads: int = 12,
    between: float = 0.01,
    arms: int = 3,
) -> tuple[dict[ArmGroup, list[Hits]], Bools]:
    """Hits of arms whose last one is better by `gain`; hard statements are hard for all heads and arms."""
    toxic = np.arange(statements) % 2 == 1
    hard = rng.normal(0, 0.12, statements)
    levels = np.linspace(0.6, 0.8, heads)
    hits: dict[ArmGroup, list[Hits]] = {}
    for place in range(arms):
        shift = gain if place == arms - 1 else 0.0
        hits["toxic", 0.25 * place / (arms - 1)] = [
            rng.random((heads, statements))
            < np.clip(levels[:, None] + hard + shift + rng.normal(0, between), 0, 1)
            for _ in range(seeds)
        ]
    return hits, toxic


def summary_of(
    arms: dict[ArmGroup, list[Hits]],
    toxic: Bools,
    name: str = "mean",
    arm: ArmGroup = TOXIC,
    draws: int = 200,
) -> Summary:
    clusters = find_clusters(range(len(toxic)), toxic)
    summaries = summarise_heads(arms, toxic, clusters, draws=draws)
    return next(summary for summary in summaries if summary.arm == arm and summary.name == name)


def test_weighted_balanced_accuracy_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    toxic = rng.random(80) < 0.3
    hits = rng.random((5, 80)) < 0.7
    times = rng.integers(0, 4, (6, 80)).astype(float)
    accuracies = balanced(hits, toxic, times)
    for draw in range(6):
        for head in range(5):
            correct = np.where(hits[head], toxic, ~toxic)
            expected = balanced_accuracy_score(toxic, correct, sample_weight=times[draw])
            assert accuracies[draw, head] == pytest.approx(expected)


def test_statistics_are_numpys() -> None:
    values = np.random.default_rng(1).random((4, 3, 30))
    result = statistics(values)
    assert result.shape == (4, 3, len(NAMES))
    row = values[2, 1]
    expected = [row.mean(), np.median(row), np.percentile(row, 90), row.max()]
    expected += [np.mean(row > threshold) for threshold in THRESHOLDS]
    assert result[2, 1] == pytest.approx(expected)


def test_with_one_seed_the_interval_is_that_of_a_plain_bootstrap() -> None:
    """Twins of a minimal pair are drawn together."""
    rng = np.random.default_rng(2)
    toxic = np.arange(200) % 2 == 1
    hits = (rng.random((8, 200)) < 0.75) | (rng.random(100) < 0.3).repeat(2)
    clusters = find_clusters([i // 2 for i in range(200)], toxic)
    summaries = summarise_heads({CLEAN: [hits]}, toxic, clusters, draws=3000)
    resamples = []
    for _ in range(3000):
        pairs = rng.integers(0, 100, 100)
        rows = np.concatenate([2 * pairs, 2 * pairs + 1])
        accuracies = [(head[rows][toxic[rows]].mean() + head[rows][~toxic[rows]].mean()) / 2 for head in hits]
        resamples.append(statistics(np.array(accuracies)))
    for place, name in enumerate(NAMES[:4]):
        summary = next(summary for summary in summaries if summary.name == name)
        half = stats.t.ppf(0.975, 199) * np.std(resamples, axis=0, ddof=1)[place]
        assert (summary.high - summary.low) / 2 == pytest.approx(half, rel=0.06)
        assert summary.p is None and summary.difference is None and "one seed only" in summary.interval
        assert summary.n == 200 and summary.heads == 8 and summary.seeds == 1


def test_without_noise_of_statements_seeds_are_students() -> None:
    """Heads that answer each statement alike leave the seeds alone: the pooled linear model's interval."""
    rng = np.random.default_rng(3)
    arms = {("toxic", share): list(rng.normal(0.7 + share, 0.02, 3)) for share in (0.0, 0.1, 0.25)}
    summaries = summarise_means("entanglement", arms, n=50, heads=4)
    values = np.concatenate([arms[arm] for arm in arms])
    model = OLS(values, np.eye(3)[np.repeat(range(3), 3)]).fit()
    reference = model.t_test([-1, 0, 1])
    summary = next(summary for summary in summaries if summary.arm == TOXIC)
    assert summary.difference == pytest.approx(float(reference.effect[0]))
    assert summary.p == pytest.approx(float(reference.pvalue))
    assert (summary.difference_low, summary.difference_high) == pytest.approx(tuple(reference.conf_int()[0]))
    assert (summary.low, summary.high) == pytest.approx(tuple(model.t_test([0, 0, 1]).conf_int()[0]))
    assert summarise_means("entanglement", {TOXIC: [0.4]}, n=5, heads=1) == []


@pytest.mark.slow
def test_a_difference_that_is_not_there_is_found_at_no_more_than_its_rate() -> None:
    """Heads counted as samples would find one most of the time: seeds shift all heads of a model."""
    significant = naive = covered = 0
    for trial in range(120):
        rng = np.random.default_rng([trial, 4])
        arms, toxic = arms_of(rng, gain=0.0, between=0.02)
        summary = summary_of(arms, toxic)
        assert (
            summary.p is not None
            and summary.difference_low is not None
            and summary.difference_high is not None
        )
        significant += summary.p <= 0.05
        covered += summary.difference_low <= 0 <= summary.difference_high
        accuracies = [
            np.concatenate([balanced(hits, toxic, np.ones((1, len(toxic))))[0] for hits in arms[arm]])
            for arm in (CLEAN, TOXIC)
        ]
        naive += stats.wilcoxon(*accuracies).pvalue <= 0.05
    assert significant / 120 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120) and covered == 120 - significant
    assert naive / 120 > 0.25 > significant / 120


@pytest.mark.slow
@pytest.mark.parametrize(("gain", "rate"), [(0.04, 0.7), (0.08, 0.98)])
def test_a_planted_difference_is_found_and_its_size_told(gain: float, rate: float) -> None:
    significant, values, covered = 0, [], 0
    for trial in range(60):
        arms, toxic = arms_of(np.random.default_rng([trial, 5]), gain=gain)
        summary = summary_of(arms, toxic, draws=150)
        assert summary.p is not None and summary.difference is not None
        assert summary.difference_low is not None and summary.difference_high is not None
        significant += summary.p <= 0.05 and summary.difference > 0
        covered += summary.difference_low <= gain <= summary.difference_high
        values.append(summary.difference)
    assert significant / 60 >= rate and covered / 60 >= 0.86
    assert np.mean(values) == pytest.approx(gain, abs=0.006)


def test_a_statistic_that_nothing_moves_has_no_interval() -> None:
    """No head is above .9, whatever seed and resample: 0 with ends of 0 would claim to be sure."""
    toxic = np.arange(200) % 2 == 1
    hits = np.tile(np.arange(200) % 20 < 12, (4, 1))
    arms = {CLEAN: [hits, hits], TOXIC: [hits, hits]}
    none = summary_of(arms, toxic, "above-0.9", draws=50)
    assert (none.value, none.low, none.high, none.p) == (0.0, None, None, None)
    assert (none.difference, none.difference_low, none.difference_high) == (0.0, None, None)
    assert none.interval == "no interval: the same in every seed and in all 50 draws"
    mean = summary_of(arms, toxic, draws=50)
    assert mean.low is not None and mean.high is not None and mean.low < mean.value < mean.high


def test_more_than_one_statistic_and_arms_without_the_clean_one() -> None:
    arms, toxic = arms_of(np.random.default_rng(6), gain=0.1)
    summaries = summarise_heads(arms, toxic, find_clusters(range(300), toxic), draws=60)
    assert len(summaries) == 3 * len(NAMES)
    for summary in summaries:
        assert summary.low is not None and summary.high is not None
        assert summary.low <= summary.value <= summary.high
    tail = next(summary for summary in summaries if summary.arm == TOXIC and summary.name == "above-0.8")
    assert tail.difference is not None and tail.difference > 0
    alone = summarise_heads({TOXIC: arms[TOXIC]}, toxic, find_clusters(range(300), toxic), draws=60)
    assert all(summary.difference is None and summary.p is None for summary in alone)
