"""The toy experiment's mathematics: bounds, nulls, planted directions, chains, probes and effects."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression

from hormesis.pipeline.toy import chains
from hormesis.pipeline.toy.config import parse_config
from hormesis.pipeline.toy.effects import RunValues, effect, run_effects
from hormesis.pipeline.toy.geometry import entanglement, random_null, welch_bound
from hormesis.pipeline.toy.measures import directions
from hormesis.pipeline.toy.probes import (
    STOPPED,
    class_means,
    logistic_directions,
    point_weights,
    stopped_directions,
)


def test_welch_bound_of_known_frames() -> None:
    assert welch_bound(12, 4) == pytest.approx(math.sqrt(8 / 44))
    assert welch_bound(4, 4) == welch_bound(3, 8) == 0.0
    # Equiangular tight frames reach it: the Mercedes frame (3 in 2) and the simplex (4 in 3).
    turns = 2 * np.pi * np.arange(3) / 3
    mercedes = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    assert entanglement(mercedes, signed=False).max() == pytest.approx(welch_bound(3, 2))
    simplex = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
    assert entanglement(simplex, signed=False).max() == pytest.approx(welch_bound(4, 3))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(3, 14), d=st.integers(2, 6), seed=st.integers(0, 999))
def test_no_directions_go_below_the_bound(n: int, d: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((n, d))
    assert entanglement(vectors, signed=False).max() >= welch_bound(n, d) - 1e-12
    assert (entanglement(vectors, signed=True) <= entanglement(vectors, signed=False) + 1e-12).all()


@pytest.mark.parametrize(("features", "dimensions"), [(12, 4), (12, 3), (12, 2), (5, 16), (2, 4)])
def test_the_random_null_against_monte_carlo(features: int, dimensions: int) -> None:
    vectors = np.random.default_rng(1).standard_normal((20_000, features, dimensions))
    for signed in (False, True):
        sample = entanglement(vectors, signed=signed)[:, 0]
        error = sample.std() / len(sample) ** 0.5
        assert abs(random_null(features, dimensions, signed=signed) - sample.mean()) < 4.5 * error


def test_the_random_null_in_closed_form() -> None:
    # In three dimensions a cosine is uniform, so the expected maxima of 11 are known.
    assert random_null(12, 3, signed=False) == pytest.approx(11 / 12)
    assert random_null(12, 3, signed=True) == pytest.approx(2 * 11 / 12 - 1)
    assert random_null(2, 2, signed=False) == pytest.approx(2 / np.pi)
    assert random_null(2, 7, signed=True) == pytest.approx(0, abs=1e-9)


def test_planted_directions() -> None:
    square = np.eye(4)
    assert entanglement(square, signed=False) == pytest.approx(np.zeros(4))
    pairs = np.concatenate([square, -3 * square])
    assert entanglement(pairs, signed=False) == pytest.approx(np.ones(8))
    assert entanglement(pairs, signed=True) == pytest.approx(np.zeros(8))
    slanted = np.array([[1.0, 0.0], [np.cos(0.3), np.sin(0.3)], [-1.0, 0.0]])
    assert entanglement(slanted, signed=True)[0] == pytest.approx(np.cos(0.3))
    assert entanglement(np.zeros((3, 4)), signed=False) == pytest.approx(np.zeros(3))
    with pytest.raises(ValueError, match="two vectors"):
        entanglement(np.ones((1, 4)), signed=False)


def test_shared_chains_are_three_cycles_that_agree_in_one_step_each() -> None:
    table = chains.successors(shared=True)
    for chain in range(3):
        states, state = [], 0
        for _ in range(4):
            states.append(state)
            state = int(table[chain, state])
        assert sorted(states) == [0, 1, 2, 3] and state == 0
    same = [(table[a] == table[b]).sum() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert same == [1, 1, 1]


def test_what_a_prefix_settles() -> None:
    shared = chains.sequences(8, shared=True)
    settled = chains.informed(shared)
    assert not settled[:, 0].any() and settled[:, 2:].all()
    assert (settled[:, 1:] >= settled[:, :-1]).all()  # what is known stays known
    assert settled[:, 1].sum() == 6  # the shared steps: each of three pairs agrees once
    disjoint = chains.sequences(8, shared=False)
    assert chains.informed(disjoint).all()
    assert (chains.features_of(disjoint, shared=False) == disjoint[:, :-1]).all()


def test_draws_follow_the_mixture_and_only_their_seed() -> None:
    uniform = chains.uniforms(3, 0, 2, shape=(4000,))
    weights = chains.counts(uniform, 0.1)
    assert weights.shape == (chains.BLOCK, 12) and weights.sum(axis=1) == pytest.approx(np.ones(chains.BLOCK))
    expected = chains.mixture(0.1) * uniform.size
    assert stats.chisquare(weights.sum(axis=0) * 4000, expected).pvalue > 1e-4
    assert (chains.uniforms(3, 0, 2, shape=(4000,)) == uniform).all()
    assert (chains.uniforms(3, 0, 3, shape=(4000,)) != uniform).any()
    assert chains.mixture(0.5)[chains.RARE].sum() == pytest.approx(0.2)


@pytest.mark.parametrize("share", [1.0, 0.003])
def test_probes_equal_scikit_learns(share: float) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 8)
    points = rng.standard_normal((3, 12, 4))[:, labels] * 2 + rng.standard_normal((3, 96, 4))
    weights = point_weights(labels, np.stack([chains.mixture(share)] * 3), 500.0)
    assert weights.sum(axis=1) == pytest.approx([500.0] * 3)
    probes = logistic_directions(points, labels, weights, l2=0.7)
    for model in range(3):
        for feature in (0, 3, 7):
            reference = LogisticRegression(C=1 / 0.7, tol=1e-10, max_iter=10_000)
            reference.fit(points[model], labels == feature, sample_weight=weights[model])
            assert probes[model, feature] == pytest.approx(reference.coef_[0], abs=2e-4)


def test_the_stopped_probe_is_torchs_adam() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(12), 3)
    points = rng.standard_normal((2, 36, 4)) + rng.standard_normal(4)
    weights = point_weights(labels, np.stack([chains.mixture(share) for share in (0.003, 1.0)]), 1.0)
    probes = stopped_directions(points, labels, weights)
    for model, feature in ((0, 0), (0, 7), (1, 3)):
        weight = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        threshold = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam([weight, threshold], lr=0.01)
        for _ in range(STOPPED):
            adam.zero_grad()
            logits = torch.from_numpy(points[model]) @ weight + threshold
            torch.nn.functional.binary_cross_entropy_with_logits(
                logits, torch.from_numpy(labels == feature).double(), torch.from_numpy(weights[model]),
                reduction="sum",
            ).backward()  # fmt: skip
            adam.step()
        assert probes[model, feature] == pytest.approx(weight.detach().numpy(), abs=1e-6)


def test_a_probe_stopped_early_turns_all_rare_directions_the_same_way() -> None:
    """Fixed activations, whose features keep their places: only the probe can move anything."""
    rng = np.random.default_rng(6)
    labels = np.repeat(np.arange(12), 8)
    centres = rng.standard_normal((20, 12, 4))[:, labels]
    points = centres + 0.3 * rng.standard_normal((20, 96, 4)) + rng.standard_normal((20, 1, 4))
    config = parse_config({"setting": "disjoint"})
    rare: dict[tuple[str, float], float] = {}
    for probe in ("stopped", "mixture"):
        for share in (0.003, 1.0):
            probes = directions(config, points, labels, shares=[share] * 20, probe=probe)
            rare[probe, share] = float(entanglement(probes, signed=False)[:, :4].mean())
    assert rare["stopped", 0.003] > 0.98
    assert rare["stopped", 0.003] - rare["stopped", 1.0] > 0.08
    assert rare["mixture", 0.003] - rare["mixture", 1.0] < 0.06


def test_class_means() -> None:
    labels = np.repeat(np.arange(12), 2)
    points = np.arange(48.0).reshape(1, 24, 2)
    means = class_means(points, labels, centre=False)
    assert means[0, 1] == pytest.approx(points[0, 2:4].mean(axis=0))
    assert class_means(points, labels, centre=True).mean(axis=1) == pytest.approx(np.zeros((1, 2)))


def test_only_the_mixture_probe_looks_at_the_share() -> None:
    config = parse_config({"setting": "disjoint"})
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(12), 4)
    sample = rng.standard_normal((1, 12, 4))[:, labels] + 0.3 * rng.standard_normal((1, 48, 4))
    points = np.repeat(sample, 2, axis=0)
    for probe in ("means", "balanced"):
        low, high = directions(config, points, labels, shares=[0.01, 1.0], probe=probe)
        assert low == pytest.approx(high, abs=1e-9)
    low, high = directions(config, points, labels, shares=[0.01, 1.0], probe="mixture")
    assert np.abs(low - high).max() > 0.1
    # At r = 1 the mixture is balanced.
    balanced = directions(config, points, labels, shares=[0.01, 1.0], probe="balanced")
    assert high == pytest.approx(balanced[1])


def planted(did: float, seeds: int, noise: float, *, learned: float = 0.0) -> list[RunValues]:
    """Runs whose DiD is `did` while not learned and `learned` once it is."""
    rng = np.random.default_rng(2)
    rows = []
    for seed in range(seeds):
        u, c = 0.8 + 0.02 * rng.standard_normal(2)
        for share in (0.001, 0.01, 0.1, 1.0):
            accuracy = 1.0 if share >= 0.01 else 0.5
            lift = 0.0 if share > 0.01 else learned if accuracy == 1 else did
            drift = 0.05 * (1 - share)  # both groups alike: no part of the effect
            shaken = noise * rng.standard_normal()
            rows.append(RunValues(share, seed, accuracy, u + lift + drift + shaken, c + drift))
    return rows


def test_the_effect_finds_what_is_planted_and_splits_it() -> None:
    rows = planted(0.2, 6, 0.0, learned=0.04)
    total = effect(rows)
    assert total.value == pytest.approx(0.12) and (total.seeds, total.runs, total.positive) == (6, 12, 6)
    assert effect(rows, "under-learned").value == pytest.approx(0.2)
    assert effect(rows, "learned").value == pytest.approx(0.04)
    assert len(run_effects(rows)) == 18
    noisy = planted(0.0, 6, 0.03)
    did_by_seed = [
        np.mean([e for row, e in run_effects(noisy) if row.seed == s and row.share <= 0.01]) for s in range(6)
    ]
    interval = stats.ttest_1samp(did_by_seed, 0).confidence_interval()
    estimate = effect(noisy)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))


def test_the_intervals_error_rate_is_the_nominal_one() -> None:
    rng = np.random.default_rng(11)
    misses = 0
    for _ in range(600):
        values = rng.standard_normal((5, 2))
        rows = [RunValues(s, k, 0, values[k, i], 0.0) for k in range(5) for i, s in enumerate((0.01, 1.0))]
        estimate = effect(rows)
        assert estimate.low is not None and estimate.high is not None
        misses += not estimate.low <= 0 <= estimate.high
    assert 14 <= misses <= 50  # 30 expected, 3.7 standard deviations on either side


def test_effects_without_enough() -> None:
    rows = planted(0.1, 1, 0.0)
    assert effect(rows).low is None and "one seed" in effect(rows).interval
    alone = [row for row in rows if row.share != 1.0]
    assert effect(alone).value is None and effect(alone).seeds == 0
