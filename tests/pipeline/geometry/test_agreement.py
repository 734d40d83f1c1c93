"""Figures of merit with known answers: planted groups are seen, chance is not, accuracy alone is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hormesis.pipeline.geometry import agreement
from hormesis.pipeline.geometry.agreement import (
    BY_CHECKPOINT,
    BY_HEAD,
    INDEPENDENT,
    RANDOM,
    Agreement,
    Heads,
    agreements,
    independent_rows,
    nearest,
    random_rows,
    unit_rows,
)

STATEMENTS = 200
LABELS = np.arange(STATEMENTS) % 2


def heads_of(checkpoints: int, heads_each: int, accuracy: np.ndarray[Any, Any] | None = None) -> Heads:
    """Heads in four layers; checkpoints take turns with two seeds."""
    n = checkpoints * heads_each
    names = np.repeat([f"c{place}" for place in range(checkpoints)], heads_each)
    varied = np.random.default_rng(3).uniform(0.5, 0.9, n) if accuracy is None else accuracy
    seeds = np.repeat(np.arange(checkpoints) % 2, heads_each).astype(float)
    return Heads(names, np.tile(np.arange(heads_each) % 4, checkpoints), varied, seeds)


def figures(scores: np.ndarray[Any, Any], random: np.ndarray[Any, Any], heads: Heads) -> dict[str, Agreement]:
    """The figures of scores [heads, statements] of directions, by measure."""
    rng_rows = {
        RANDOM: lambda rng: random_rows(random, rng),
        INDEPENDENT: lambda rng: independent_rows(scores, LABELS, rng),
    }
    results = agreements(
        unit_rows(scores, LABELS), rng_rows, lambda rows: unit_rows(rows, LABELS), heads=heads
    )
    return {result.measure: result for result in results}


def noise(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape)


def test_planted_groups_are_seen_in_accuracy_and_layer() -> None:
    """A head's group decides its layer, its accuracy, and what it says within each label."""
    heads = heads_of(6, 16)
    group = heads.layer
    heads = Heads(heads.checkpoint, heads.layer, 0.6 + 0.08 * group + 0.01 * noise(96, seed=1), heads.seed)
    scores = noise(4, STATEMENTS, seed=2)[group] + 0.5 * noise(96, STATEMENTS) + 2.0 * LABELS
    planted = figures(scores, noise(5, 96, STATEMENTS, seed=4), heads)
    assert planted["accuracy"].value > 0.95 and planted["layer"].value > 0.99
    for measure in ("accuracy", "layer", "likeness"):
        result = planted[measure]
        assert result.independent_p == result.random_p == pytest.approx(1 / 101)
        assert result.low <= result.value <= result.high and result.low > result.random_high
    assert planted["layer"].expected == pytest.approx(0.25)
    assert planted["seed"].expected == pytest.approx(3 / 5 * 1 - 1 / 5)  # 2 of 5 other checkpoints
    assert planted["seed"].random_p > 0.05
    assert (planted["layer"].heads, planted["layer"].checkpoints, planted["layer"].neighbours) == (96, 6, 10)


@pytest.mark.parametrize("checkpoints", [1, 6])
def test_random_directions_show_no_structure(checkpoints: int) -> None:
    """p-values of directions drawn as the null is are spread as chance has them."""
    heads = heads_of(checkpoints, 48 // checkpoints)
    # Random directions of a head share its few dimensions, as real ones do.
    space = noise(48, 6, STATEMENTS, seed=5)
    directions = np.einsum("rhd,hds->rhs", noise(30, 48, 6, seed=6), space)
    p_values = []
    for draw in range(20):
        results = figures(directions[draw], directions[20:], heads)
        p_values += [results[measure].random_p for measure in ("accuracy", "layer")]
    assert np.mean(np.array(p_values) <= 0.05) < 0.15
    assert 0.3 < np.mean(p_values) < 0.7


def test_accuracy_alone_makes_neighbours_unless_labels_are_centred() -> None:
    """Heads that share nothing but a correlation with the label, the accurate ones a higher one."""
    heads = heads_of(6, 20)
    scores = independent_rows(
        (heads.accuracy - 0.5)[:, None] * 4 * LABELS + noise(120, STATEMENTS),
        LABELS,
        np.random.default_rng(0),
    )
    candidates = heads.candidates()
    correlation = {}
    for name, units in (
        ("uncentred", unit_rows(scores - scores.mean(axis=1, keepdims=True))),
        ("centred", unit_rows(scores, LABELS)),
    ):
        neighbours = nearest(units @ units.T, candidates)
        correlation[name] = np.corrcoef(heads.accuracy, heads.accuracy[neighbours].mean(axis=1))[0, 1]
    assert correlation["uncentred"] > 0.5 and abs(correlation["centred"]) < 0.25
    assert figures(scores, noise(4, 120, STATEMENTS, seed=9), heads)["accuracy"].independent_p > 0.05


def test_the_independent_null_keeps_each_heads_correlation_with_the_label() -> None:
    scores = noise(8, 4_000) + np.linspace(0, 3, 8)[:, None] * (np.arange(4_000) % 2)
    labels = np.arange(4_000) % 2
    drawn_rows = independent_rows(scores, labels, np.random.default_rng(1))
    of_label = [[np.corrcoef(row, labels)[0, 1] for row in rows] for rows in (scores, drawn_rows)]
    assert of_label[0] == pytest.approx(of_label[1], abs=0.05)
    off_label = np.corrcoef(unit_rows(drawn_rows, labels))
    assert np.abs(off_label[~np.eye(8, dtype=bool)]).max() < 0.08


def test_rows_are_centred_within_strata_and_of_length_one() -> None:
    strata = np.array([0, 0, 1, 1, 2, 2])
    units = unit_rows(np.array([[1.0, 3.0, 10.0, 14.0, 5.0, 5.0], [7.0, 7.0, 2.0, 2.0, 0.3, 0.3]]), strata)
    assert units[0] == pytest.approx(np.array([-1, 1, -2, 2, 0, 0]) / np.sqrt(10))
    assert not units[1].any()


def test_neighbours_are_of_other_checkpoints_and_within_one_of_other_heads() -> None:
    units = unit_rows(noise(24, 30))
    across, alone = heads_of(3, 8), heads_of(1, 24)
    neighbours = nearest(units @ units.T, across.candidates(), 5)
    assert (across.checkpoint[neighbours] != across.checkpoint[:, None]).all()
    similarity = units @ units.T
    of_first = np.argsort(-similarity[0, 8:])[:5] + 8
    assert set(neighbours[0]) == set(of_first)
    inside = nearest(similarity, alone.candidates(), 100)
    assert inside.shape == (24, 23) and (inside != np.arange(24)[:, None]).all()


def test_few_checkpoints_are_said_to_speak_for_themselves_alone() -> None:
    random = noise(3, 40, STATEMENTS)
    few, many = heads_of(5, 8), heads_of(8, 5)
    assert figures(noise(40, STATEMENTS), random, few)["layer"].interval == BY_HEAD
    assert figures(noise(40, STATEMENTS), random, many)["layer"].interval == BY_CHECKPOINT


def test_figures_that_cannot_be_told_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "DRAWS", 5)
    equal = heads_of(1, 8, accuracy=np.full(8, 0.7))
    results = figures(noise(8, STATEMENTS), noise(3, 8, STATEMENTS), equal)
    assert set(results) == {"likeness", "layer"} and results["layer"].neighbours == 7
    assert figures(noise(1, STATEMENTS), noise(3, 1, STATEMENTS), heads_of(1, 1)) == {}
