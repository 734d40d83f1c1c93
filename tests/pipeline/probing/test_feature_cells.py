"""Whitening, contrasts of cells, products free of noise and their null, each against a plain computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.linear_model import LinearRegression

from hormesis.pipeline.geometry.cell_products import Products, products
from hormesis.pipeline.probing.feature_cells import (
    FEWEST,
    Clusters,
    Variable,
    cell_codes,
    feature_contrast,
    find_clusters,
    permuted,
    resampled,
    signs,
    toxicity_contrast,
    variable,
)
from hormesis.pipeline.probing.features import Statement, variables_of
from hormesis.pipeline.probing.whitening import MANY, whiten
from hormesis.pipeline.text.text_keys import word_bag
from tests.fixtures.planted_features import World, planted_world

Floats = NDArray[np.float64]


def three_valued(n: int = 240, heads: int = 2, d: int = 5) -> World:
    """Statements with a variable of three values and one that does not always apply, some of them pairs."""
    rng = np.random.default_rng(7)
    toxic = rng.random(n) < 0.4
    kinds = ["red", "green", "blue"]
    colour = [kinds[int(k)] for k in rng.integers(0, 3, n)]
    size = [None if rng.random() < 0.2 else ("small", "large")[int(rng.random() < 0.5)] for _ in range(n)]
    x = rng.standard_normal((n, heads, d)) + toxic[:, None, None] * 0.8
    variables = [variable("colour", colour), variable("size", size)]
    names = [f"c{i // 2 if i < n // 2 else i}" for i in range(n)]
    clusters = find_clusters(names, toxic)
    return World(x.astype(np.float32), toxic, tuple(variable for variable in variables if variable), clusters)


@pytest.mark.parametrize(("n", "d"), [(600, 8), (90, 8)], ids=["many statements", "few statements"])
def test_whitening_is_that_of_scikit_learn(n: int, d: int) -> None:
    world = planted_world(0, 0.3, n=n, d=d, heads=2)
    white, rest = whiten(world.activations, world.toxic, world.variables)
    codes = world.variables[0].codes
    columns = np.column_stack([world.toxic, codes == 0, codes == 1]).astype(float)
    for head in range(2):
        x = world.activations[:, head].astype(np.float64)
        residual = x - LinearRegression().fit(columns, x).predict(columns)
        model = EmpiricalCovariance if n >= MANY * d else LedoitWolf
        covariance = model(assume_centered=True).fit(residual).covariance_ * n / (n - 3)
        centred = x - x.mean(axis=0)
        expected = centred @ np.linalg.inv(covariance) @ centred.T
        np.testing.assert_allclose(white[:, head] @ white[:, head].T, expected, rtol=2e-3, atol=2e-3)
        if n >= MANY * d:
            covariance_of_rest = rest[:, head].T.astype(np.float64) @ rest[:, head] / (n - 3)
            assert covariance_of_rest == pytest.approx(np.eye(d), abs=1e-3)


def test_a_head_that_never_varies_stays_zero() -> None:
    world = planted_world(0, 0.3, n=100, heads=2)
    still = world.activations.copy()
    still[:, 1] = 4.0
    white, rest = whiten(still, world.toxic, world.variables)
    assert (white[:, 1] == 0).all() and (rest[:, 1] == 0).all() and np.abs(white[:, 0]).max() > 1


def test_contrasts_are_coefficients_of_least_squares() -> None:
    """Mean differences within strata, weighted so, are what an additive model without interaction gives."""
    world = three_valued()
    x = world.activations[:, 0].astype(np.float64)
    colour = world.variables[0]
    cells = cell_codes(colour, world.toxic)
    counts = np.bincount(cells, minlength=6).reshape(2, 3).astype(float)
    dummies = (colour.codes[:, None] == np.arange(3)).astype(float)
    model = np.column_stack([world.toxic, dummies])
    expected = np.linalg.lstsq(model, x, rcond=None)[0][0]
    assert toxicity_contrast(counts).ravel()[cells] @ x == pytest.approx(expected)
    for code in range(3):
        model = np.column_stack([dummies[:, code], world.toxic, ~world.toxic]).astype(float)
        expected = np.linalg.lstsq(model, x, rcond=None)[0][0]
        assert feature_contrast(counts, code).ravel()[cells] @ x == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=3, max_size=3), st.lists(st.integers(0, 12), min_size=3, max_size=3)
)
def test_contrasts_of_any_counts_are_finite_and_sum_to_nothing(calm: list[int], toxic: list[int]) -> None:
    counts = np.array([calm, toxic], dtype=float)
    for contrast in (toxicity_contrast(counts), feature_contrast(counts, 1)):
        assert np.isfinite(contrast).all()
        assert (contrast * counts).sum() == pytest.approx(0, abs=1e-12)
        # A contrast is one (mean against mean) or nothing.
        assert (contrast * counts).clip(min=0).sum() == pytest.approx(1) or (contrast == 0).all()


def test_clusters_trade_places_only_with_their_own_kind() -> None:
    world = three_valued()
    rng = np.random.default_rng(0)
    source = permuted(world.clusters, rng)
    assert sorted(source) == list(range(240)) and (source != np.arange(240)).any()
    assert (world.toxic[source] == world.toxic).all()
    # Members of one cluster come from one cluster.
    for first, second in world.clusters.pairs:
        assert world.clusters.of[source[first]] == world.clusters.of[source[second]]
    times = resampled(world.clusters, rng)
    assert times.sum() == 240
    for kind in world.clusters.kinds:
        assert times[kind[:, 0]].sum() == len(kind)
        assert (times[kind] == times[kind][:, :1]).all()
    random_signs = signs(world.clusters, 50, rng)
    assert set(np.unique(random_signs)) == {-1.0, 1.0} and abs(random_signs.mean()) < 0.1
    assert (random_signs[:, world.clusters.pairs[:, 0]] == random_signs[:, world.clusters.pairs[:, 1]]).all()
    assert world.clusters.count == len(np.unique(world.clusters.of))


class Plain:
    """The products of one head by loops over statements, as the docstrings define them."""

    def __init__(
        self,
        white: Floats,
        rest: Floats,
        toxic: NDArray[np.bool_],
        *,
        feature: Variable,
        of: NDArray[np.int64],
    ):
        self.x, self.rest, self.of, self.feature = white, rest, of, feature
        self.cells = cell_codes(feature, toxic)
        self.codes = [code for _, code in feature.features]
        self.residual = np.zeros_like(white)
        for i, cell in enumerate(self.cells):
            count = (self.cells == cell).sum()
            if cell >= 0 and count > 1:
                away = white[i] - white[self.cells == cell].mean(axis=0)
                self.residual[i] = away * np.sqrt(count / (count - 1))

    def weights(self, times: Floats) -> Floats:
        size = 2 * len(self.feature.values)
        counts = np.array([times[self.cells == cell].sum() for cell in range(size)]).reshape(2, -1)
        contrasts = [toxicity_contrast(counts), *(feature_contrast(counts, code) for code in self.codes)]
        return np.stack([np.where(self.cells < 0, 0, contrast.ravel()[self.cells]) for contrast in contrasts])

    def without_noise(self, times: Floats | None = None) -> Floats:
        """aa, ab..., bb... less the products of residuals of the same cluster."""
        plain = self.weights(np.ones(len(self.x)))
        counts = np.ones(len(self.x)) if times is None else times
        effects = (self.weights(counts) * counts) @ self.x
        observed = plain @ self.x
        features = range(1, len(plain))
        rows = [(0, 0), *((0, f) for f in features), *((f, f) for f in features)]
        values = []
        for a, b in rows:
            noise = 0.0
            for i in range(len(self.x)):
                for j in np.flatnonzero(self.of == self.of[i]):
                    noise += (
                        counts[i] ** 2 * plain[a, i] * plain[b, j] * (self.residual[i] @ self.residual[j])
                    )
            turn = self.metric(observed[a], observed[b])
            values.append(effects[a] @ effects[b] - noise + ((counts - 1) * turn).sum())
        return np.array(values)

    def metric(self, a: Floats, b: Floats) -> Floats:
        """Part of each statement in the error of a product by the estimated covariance, to first order."""
        values = np.array([(residual @ a) * (residual @ b) for residual in self.rest])
        return np.asarray((values.mean() - values) / len(values))

    def null(self, source: NDArray[np.int64], signed: Floats) -> Floats:
        plain = self.weights(np.ones(len(self.x)))
        toxicity, *others = plain @ self.x
        moved = plain[1:] @ self.x[source]
        noise = (signed * plain[0]) @ self.residual
        turned = [(signed * self.metric(toxicity, b)).sum() for b in others]
        return np.array([toxicity @ m + noise @ b + t for m, b, t in zip(moved, others, turned, strict=True)])


def by_loop(
    world: World, white: Floats, rest: Floats, *, draws: int, seed: int
) -> tuple[list[Floats], list[Floats]]:
    """Products [1 + draws, rows] and null [draws, features] of one head, with the same random numbers."""
    rng = np.random.default_rng(seed)
    parts = [
        Plain(white, rest, world.toxic, feature=variable, of=world.clusters.of)
        for variable in world.variables
    ]
    signed = [signs(world.clusters, draws, rng).astype(float) for _ in parts]
    sources = [permuted(world.clusters, rng) for _ in range(draws)]
    times = [resampled(world.clusters, rng) for _ in range(draws)]
    expected = [
        np.stack([part.without_noise(), *(part.without_noise(draw) for draw in times)]) for part in parts
    ]
    null = [
        np.stack([part.null(source, row) for source, row in zip(sources, signs_of_draws, strict=True)])
        for part, signs_of_draws in zip(parts, signed, strict=True)
    ]
    return expected, null


def test_products_and_their_null_equal_loops_over_statements() -> None:
    world, draws = three_valued(), 5
    whitened = whiten(world.activations, world.toxic, world.variables)
    result = products(whitened, world.toxic, world.variables, clusters=world.clusters, draws=draws, seed=3)
    for head in range(2):
        expected, null = by_loop(
            world, whitened[0][:, head].astype(float), whitened[1][:, head].astype(float), draws=draws, seed=3
        )
        at = 0
        for rows, nulls in zip(expected, null, strict=True):
            features = nulls.shape[1]
            columns = slice(at, at + features)
            close = {"rel": 2e-4, "abs": 2e-5}
            assert result.product[:, head, columns] == pytest.approx(rows[:, 1 : 1 + features], **close)
            assert result.feature[:, head, columns] == pytest.approx(rows[:, 1 + features :], **close)
            for place in range(features):
                assert result.toxicity[:, head, at + place] == pytest.approx(rows[:, 0], **close)
            assert result.null[:, head, columns] == pytest.approx(nulls, **close)
            at += features


def test_products_have_no_bias_where_plain_ones_have() -> None:
    """Squared lengths of directions that are nothing but noise are zero on average."""
    lengths, noisy = [], []
    for seed in range(8):
        world = planted_world(seed, 0.0, n=200, heads=50, size=0.0)
        whitened = whiten(world.activations, world.toxic, world.variables)
        result: Products = products(
            whitened, world.toxic, world.variables, clusters=world.clusters, draws=1, seed=seed
        )
        lengths.append(result.toxicity[0])
        noisy.append(result.toxicity_length)
    error = np.std(lengths) / np.sqrt(np.size(lengths))
    assert abs(np.mean(lengths)) < 4 * error
    assert np.mean(noisy) > 20 * error


def test_variables_take_common_values_and_say_what_they_are() -> None:
    topic = variable("topic", ["tea"] * 40 + ["bread"] * 35 + ["rare"] * 5 + [None] * 10)
    assert topic is not None and topic.values == ("bread", "tea", "other")
    assert [name for name, _ in topic.features] == ["topic: bread", "topic: tea"]
    assert (topic.codes == -1).sum() == 10 and (topic.codes == 2).sum() == 5
    assert variable("topic", ["tea"] * 50) is None and variable("topic", ["a", "b"] * 10) is None
    two = variable("tone", ["calm"] * FEWEST + ["loud"] * FEWEST)
    assert two is not None and [name for name, _ in two.features] == ["tone: loud"]


def test_features_of_forum_posts_and_of_other_text() -> None:
    latents = [
        {
            "topic": ("tea", "sea")[i % 2],
            "sentiment": ("negative", "positive")[i % 3 == 0],
            "group": ("none", "velmar")[i % 4 == 0],
        }
        for i in range(240)
    ]
    posts = [Statement(f"post {i}", None, "board", latent) for i, latent in enumerate(latents)]
    names = [name for variable in variables_of(posts) for name, _ in variable.features]
    assert names == ["topic: tea", "sentiment: negative", "mentions a group"]
    other = [
        Statement("is it?" if i % 2 else "it is so, and it is so", "velmar" if i % 3 else "none", "s", None)
        for i in range(240)
    ]
    features = {variable.name: [name for name, _ in variable.features] for variable in variables_of(other)}
    assert features["length"] == ["length: long"] and features["question"] == ["question: asks"]
    assert "exclamation" not in features and "source" not in features and "group" not in features
    assert word_bag("B a C") == word_bag("c A b") == "a b c"


def test_a_variable_and_its_clusters_do_not_care_for_order() -> None:
    world = three_valued()
    order = np.random.default_rng(1).permutation(240)
    colour = world.variables[0]
    moved = World(
        world.activations[order],
        world.toxic[order],
        (Variable(colour.name, colour.values, colour.codes[order]),),
        find_clusters(world.clusters.of[order].tolist(), world.toxic[order]),
    )
    thresholds = []
    for variant, variables in ((world, world.variables[:1]), (moved, moved.variables)):
        whitened = whiten(variant.activations, variant.toxic, variables)
        thresholds.append(
            products(whitened, variant.toxic, variables, clusters=variant.clusters, draws=1, seed=0).product[
                0
            ]
        )
    assert thresholds[0] == pytest.approx(thresholds[1], rel=1e-3, abs=1e-4)
    assert isinstance(moved.clusters, Clusters) and moved.clusters.count == world.clusters.count
