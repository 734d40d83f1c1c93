"""Angles between features in the language model: planted ones found, right angles let be, at stated rates."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hormesis.pipeline.geometry.entanglement import Cosines, Largest, entanglement, random_level
from hormesis.pipeline.toy.geometry import welch_bound
from tests.fixtures.planted_features import World, planted_world


def measured(world: World, *, draws: int = 200, seed: int = 0) -> tuple[Cosines, Largest]:
    return entanglement(
        world.activations, world.toxic, world.variables, clusters=world.clusters, draws=draws, seed=seed
    )


def rates(cosine: float, worlds: int, **options: float | bool) -> tuple[float, float, NDArray[np.float64]]:
    """Share of heads with p up to .05, share of intervals that hold the truth, and all cosines."""
    results = [measured(planted_world(seed, cosine, **options), seed=seed)[0] for seed in range(worlds)]  # type: ignore[arg-type]
    p = np.concatenate([result.p[:, 0] for result in results])
    low, high = (
        np.concatenate([getattr(result, end)[:, 0] for result in results]) for end in ("low", "high")
    )
    assert not np.isnan(p).any()
    values = np.concatenate([result.cosine[:, 0] for result in results])
    return float((p <= 0.05).mean()), float(((low <= cosine) & (cosine <= high)).mean()), values


# Heads of one world share labels, permutations and resamples, so 12 worlds of 40 heads are fewer than 480
# independent trials: the bounds are three standard errors of 240.
LEVEL, COVER = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 240), 0.95 - 3 * np.sqrt(0.05 * 0.95 / 240)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"association": 0.2}, {"pairs": False}], ids=["pairs", "associated", "alone"]
)
def test_right_angles_are_let_be(options: dict[str, float | bool]) -> None:
    rejected, covered, values = rates(0.0, 12, **options)
    assert rejected <= LEVEL and covered >= COVER
    assert abs(values.mean()) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("cosine", "least"), [(0.3, 0.90), (0.6, 0.99)])
def test_planted_angles_are_found_and_told_without_bias(cosine: float, least: float) -> None:
    rejected, covered, values = rates(cosine, 6, n=1500, d=16)
    assert rejected >= least and covered >= COVER - 0.01
    assert values.mean() == pytest.approx(cosine, abs=0.025)


def test_plain_cosines_would_be_too_small() -> None:
    """What the correction for noise is for: uncorrected, .6 would read as less than .5."""
    world = planted_world(3, 0.6, n=200, d=24, heads=60)
    centred = world.activations - world.activations.mean(axis=0)
    topic = world.variables[0].codes == 1
    sides = [centred[side].mean(axis=0) - centred[~side].mean(axis=0) for side in (world.toxic, topic)]
    residual = centred.copy()
    for toxic in (False, True):
        for of in (False, True):
            cell = (world.toxic == toxic) & (topic == of)
            residual[cell] -= residual[cell].mean(axis=0)
    plain = []
    for head in range(60):
        inverse = np.linalg.inv(np.cov(residual[:, head].T))
        a, b = (side[head] for side in sides)
        plain.append(a @ inverse @ b / np.sqrt((a @ inverse @ a) * (b @ inverse @ b)))
    cosines = measured(world)[0].cosine[:, 0]
    assert np.mean(plain) < 0.5 < 0.55 < np.nanmean(cosines) < 0.65


def test_the_correction_is_that_of_split_halves() -> None:
    """Spearman's formula over many random halves, whole pairs together, on the same whitened activations."""
    from hormesis.pipeline.probing.feature_cells import Variable
    from hormesis.pipeline.probing.whitening import whiten

    world = planted_world(1, 0.4, n=240, heads=3, d=8)
    white, _ = whiten(world.activations, world.toxic, world.variables)
    topic: Variable = world.variables[0]
    rng = np.random.default_rng(0)
    products = []
    for _ in range(1500):
        half = (rng.permutation(120) < 60).repeat(2)
        parts = []
        for chosen in (half, ~half):
            columns = np.column_stack([np.ones(120), world.toxic[chosen], topic.codes[chosen] == 1])
            flat = white[chosen].reshape(120, -1).astype(np.float64)
            solved = np.linalg.lstsq(columns, flat, rcond=None)[0].reshape(3, 3, 8)
            parts.append(solved[1:])
        (a1, b1), (a2, b2) = parts
        across = (a1 * b2 + a2 * b1).sum(axis=-1) / 2
        products.append([across, (a1 * a2).sum(axis=-1), (b1 * b2).sum(axis=-1)])
    across, toxicity, feature = np.mean(products, axis=0)
    expected = across / np.sqrt(toxicity * feature)
    assert measured(world)[0].cosine[:, 0] == pytest.approx(expected, abs=0.02)


def test_a_direction_lost_in_noise_has_no_angle() -> None:
    world = planted_world(2, 0.5, size=0.0, heads=60)
    cosines, largest = measured(world)
    lost = np.isnan(cosines.cosine[:, 0])
    assert lost.mean() > 0.95
    assert np.isnan(largest.value[lost]).all() and (largest.feature[lost] == -1).all()
    assert (largest.used[lost] == 0).all() and np.isnan(cosines.p[:, 0][lost]).all()
    strong = measured(planted_world(2, 0.5, heads=10))[0]
    assert (strong.reliability > 0.5).all() and (strong.toxicity_reliability > 0.5).all()


@pytest.mark.slow
def test_the_largest_angle_keeps_its_level_and_holds_the_largest_truth() -> None:
    p, right, covered = [], [], []
    for seed in range(10):
        _, none = measured(planted_world(seed, 0.0, others=3, n=500), seed=seed)
        p.append(none.p)
        assert (none.used == 4).all() and (none.low < none.value).all()
        _, some = measured(planted_world(seed, 0.6, others=3, n=1000), seed=seed)
        right.append(some.feature == 0)
        covered.append((some.low <= 0.6) & (some.high >= 0.6))
        assert (some.value > some.null_mean).mean() > 0.95
    assert np.mean(np.concatenate(p) <= 0.05) <= LEVEL
    assert np.mean(right) > 0.97 and np.mean(covered) >= 0.93


def test_references_of_the_largest_angle() -> None:
    _, largest = measured(planted_world(0, 0.0, others=3, d=3, heads=4))
    assert largest.welch == pytest.approx([welch_bound(5, 3)] * 4)
    _, few = measured(planted_world(0, 0.0, heads=4))
    assert np.isnan(few.welch).all()  # two directions in 12 dimensions can be orthogonal
    rng = np.random.default_rng(5)
    for features, d in ((1, 2), (4, 12), (11, 4)):
        vectors = rng.standard_normal((20_000, features, d))
        cosines = np.abs(vectors[..., 0] / np.linalg.norm(vectors, axis=-1)).max(axis=1)
        for quantile in (0.5, 0.95):
            level = random_level(np.array([features]), d, quantile)[0]
            assert np.mean(cosines <= level) == pytest.approx(quantile, abs=0.01)
    assert np.isnan(random_level(np.array([0]), 4, 0.5)).all() and random_level(np.array([2]), 1, 0.5) == 1


def test_p_values_of_right_angles_are_not_too_small_anywhere() -> None:
    p = np.concatenate([measured(planted_world(seed, 0.0), seed=seed)[0].p[:, 0] for seed in range(8)])
    for level in (0.01, 0.1, 0.25, 0.5):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / 160)
    # Nor so large that nothing could be found: not far above uniform.
    assert stats.kstest(p, "uniform", alternative="less").statistic < 0.12


def test_angles_do_not_depend_on_scale_turn_or_the_company_of_heads() -> None:
    world = planted_world(4, 0.4, heads=3)
    rng = np.random.default_rng(1)
    mixed = world.activations @ (rng.standard_normal((12, 12)) + 3 * np.eye(12)).astype(np.float32)
    first, other = (
        entanglement(x, world.toxic, world.variables, clusters=world.clusters, draws=99)[0]
        for x in (world.activations, mixed * 7 + 1)
    )
    assert first.cosine == pytest.approx(other.cosine, abs=2e-3)
    alone = entanglement(
        world.activations[:, 1:2], world.toxic, world.variables, clusters=world.clusters, draws=99
    )[0]
    for name in ("cosine", "low", "high", "null_low", "p"):
        assert getattr(alone, name)[0] == pytest.approx(getattr(first, name)[1], abs=1e-5)


def test_what_cannot_be_compared_is_refused() -> None:
    world = planted_world(0, 0.0, n=100, heads=2)
    with pytest.raises(ValueError, match="no feature"):
        entanglement(world.activations, world.toxic, (), clusters=world.clusters)
    with pytest.raises(ValueError, match="do not match"):
        entanglement(world.activations[:50], world.toxic, world.variables, clusters=world.clusters)
    with pytest.raises(ValueError, match="at least 99"):
        measured(world, draws=98)
    broken = world.activations.copy()
    broken[3, 1, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        entanglement(broken, world.toxic, world.variables, clusters=world.clusters)
