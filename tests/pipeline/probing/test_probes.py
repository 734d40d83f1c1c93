"""Probes against scikit-learn and against data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from hormesis.pipeline.probing.permuted_directions import (
    permuted_directions,
    permuted_labels,
    resampled_directions,
    resampled_places,
)
from hormesis.pipeline.probing.probe_directions import covariance_vector, random_vector, unit
from hormesis.pipeline.probing.probe_solver import fit_logistic
from hormesis.pipeline.probing.probes import (
    ProbeError,
    default_heads,
    draw_examples,
    probe_heads,
    random_directions,
    resolve_heads,
    select_heads,
    split_codes,
    split_examples,
)
from hormesis.pipeline.study.config_sections import ProbeConfig
from hormesis.pipeline.text.probe_splits import SELECT, TEST, TRAIN, effective_groups

SETTINGS = ProbeConfig(bootstrap=200)


def keys(n):
    return [f"key-{i}" for i in range(n)]


@pytest.fixture(scope="module")
def planted():
    """Noise in every head but (1, 2), whose classes differ along one known direction."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 1200)
    activations = rng.normal(0, 1, (1200, 2, 4, 10)) * rng.uniform(0.2, 5, (1, 2, 4, 10)) + 3
    theta = rng.normal(0, 1, 10)
    theta /= np.linalg.norm(theta)
    activations[:, 1, 2] = rng.normal(0, 1, (1200, 10)) + 2.0 * labels[:, None] * theta
    return activations.astype(np.float32), labels, theta, split_examples(keys(1200)).codes


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("l2", [1.0, 0.01])
def test_solver_equals_sklearn(balanced, l2):
    rng = np.random.default_rng(1)
    labels = (rng.random(400) < 0.3).astype(int)
    features = rng.normal(0, 1, (5, 400, 7)) + labels[None, :, None] * np.linspace(0, 1.5, 5)[:, None, None]
    fits = fit_logistic(features, labels, l2=l2, balanced=balanced, tolerance=1e-10)
    for head in range(5):
        model = LogisticRegression(
            C=1 / l2, tol=1e-10, max_iter=5000, class_weight="balanced" if balanced else None
        )
        model.fit(features[head], labels)
        assert fits.weights[head] == pytest.approx(model.coef_[0], abs=1e-4)
        assert fits.intercepts[head] == pytest.approx(model.intercept_[0], abs=1e-4)
        assert fits.scores(features)[head] == pytest.approx(model.decision_function(features[head]), abs=1e-3)


def test_single_precision_is_within_half_a_point_of_sklearn():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 2000)
    mixing = rng.normal(0, 1, (16, 12, 12))
    features = rng.normal(0, 1, (16, 2000, 12)) @ mixing + labels[None, :, None] * rng.normal(
        0, 1, (16, 1, 12)
    )
    features = (
        (features - features.mean(axis=1, keepdims=True)) / features.std(axis=1, keepdims=True)
    ).astype(np.float32)
    scores = fit_logistic(features[:, :1200], labels[:1200]).scores(features[:, 1200:])
    for head in range(16):
        model = LogisticRegression(tol=1e-8, max_iter=5000).fit(
            features[head, :1200].astype(float), labels[:1200]
        )
        correct = (scores[head] > 0) == labels[1200:]
        assert abs(correct.mean() - model.score(features[head, 1200:], labels[1200:])) <= 0.005


def test_separable_and_dead_features_do_not_break_the_solver():
    labels = np.arange(100) % 2
    features = np.zeros((3, 100, 4))
    features[1, :, 0] = labels * 2 - 1
    features[2] = (labels * 2 - 1)[:, None] * 50.0
    fits = fit_logistic(features, labels, l2=1e-4)
    assert np.isfinite(fits.weights).all()
    assert not fits.weights[0].any() and abs(fits.intercepts[0]) < 1e-6
    assert ((fits.scores(features)[1:] > 0) == labels).all()


def test_labels_of_each_heads_own_are_fitted_as_one_by_one():
    rng = np.random.default_rng(11)
    features = rng.normal(0, 1, (40, 200, 5))
    labels = np.stack([rng.permutation(np.arange(200) < 60 + head) for head in range(40)])
    together = fit_logistic(features, labels, balanced=True)
    for head in range(40):
        alone = fit_logistic(features[head : head + 1], labels[head], balanced=True)
        assert together.weights[head] == pytest.approx(alone.weights[0], abs=1e-4)


def test_each_head_has_a_shuffle_of_its_own():
    """Heads that are copies of one another tell the control's luck apart, and blocks do not change it."""
    rng = np.random.default_rng(12)
    labels, head = rng.integers(0, 2, 400), rng.normal(0, 1, (400, 1, 6)).astype(np.float32)
    codes = split_examples(keys(400)).codes
    run = probe_heads({0: head.repeat(30, axis=1)}, labels, codes, settings=SETTINGS)
    controls = [result.shuffled_accuracy for result in run.results]
    assert len({result.accuracy for result in run.results}) == 1 and len(set(controls)) > 10
    assert abs(np.mean(controls) - 0.5) < 0.05 and np.std(controls) > 0.02
    alone = probe_heads({0: head}, labels, codes, settings=SETTINGS)
    assert alone.results[0].shuffled_accuracy == controls[0]
    other = probe_heads({0: head.repeat(30, axis=1)}, labels, codes, settings=SETTINGS, shuffle_seed=1)
    others = [result.shuffled_accuracy for result in other.results]
    assert abs(np.corrcoef(controls, others)[0, 1]) < 0.5, "another model shares no luck with it"
    assert other.results[0].accuracy_low == run.results[0].accuracy_low, "and resamples the same statements"


def test_a_planted_direction_is_found(planted):
    activations, labels, theta, codes = planted
    run = probe_heads(activations, labels, codes, settings=SETTINGS)
    assert select_heads(run.results, 1) == [(1, 2)]
    table = run.table(1)
    best = table[(table["layer"] == 1) & (table["head"] == 2)].iloc[0]
    assert best["rank"] == 1 and table["rank"].notna().sum() == 1
    assert best["accuracy"] > 0.8 and best["accuracy_low"] < best["accuracy"] < best["accuracy_high"]
    assert best["auroc"] > 0.88 and best["separation"] == pytest.approx(2.0, abs=0.5)
    assert abs(best["shuffled_accuracy"] - 0.5) < 0.12
    others = table[table["rank"].isna()]
    assert others["accuracy"].between(0.38, 0.62).all()
    for method in ("mass_mean", "probe"):
        (direction,) = run.directions(method, [(1, 2)])
        assert direction.vector @ theta > 0.97 and np.linalg.norm(direction.vector) == pytest.approx(
            1, abs=1e-6
        )
        along = activations[codes == TRAIN][:, 1, 2] @ direction.vector
        assert direction.sigma == pytest.approx(along.std(), rel=1e-4)


def test_mass_mean_is_the_difference_of_train_means(planted):
    activations, labels, _, codes = planted
    run = probe_heads(activations, labels, codes, settings=SETTINGS)
    train = activations[codes == TRAIN].astype(float)
    kind = labels[codes == TRAIN].astype(bool)
    for direction in run.mass_mean:
        head = train[:, direction.layer, direction.head]
        difference = head[kind].mean(axis=0) - head[~kind].mean(axis=0)
        assert direction.vector == pytest.approx(difference / np.linalg.norm(difference), abs=1e-5)


def test_layers_one_by_one_memory_maps_and_float16_give_the_same(planted, tmp_path):
    activations, labels, _, codes = planted
    half = activations.astype(np.float16)
    np.save(tmp_path / "a.npy", half)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    probes = probe_heads(half, labels, codes, settings=SETTINGS)
    batches = []
    parts = probe_heads({layer: half[:, layer] for layer in range(2)}, labels, codes, settings=SETTINGS)
    lazy = probe_heads(
        mapped, labels, codes, settings=SETTINGS, progress=lambda done, total: batches.append((done, total))
    )
    assert probes.results == parts.results == lazy.results
    assert batches[-1] == (8, 8)


def test_nothing_of_test_or_select_reaches_the_directions(planted):
    activations, labels, _, codes = planted
    changed = activations.copy()
    changed[codes != TRAIN] *= -7
    first, second = (
        probe_heads(values, labels, codes, settings=SETTINGS) for values in (activations, changed)
    )
    for a, b in zip(first.mass_mean + first.probe, second.mass_mean + second.probe, strict=True):
        assert np.array_equal(a.vector, b.vector) and a.sigma == b.sigma


def test_noise_stays_at_chance_and_its_interval_covers_chance_at_its_rate():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 900)
    activations = rng.normal(0, 1, (900, 10, 20, 6)).astype(np.float32)
    table = probe_heads(activations, labels, split_examples(keys(900)).codes, settings=SETTINGS).table()
    covered = table["accuracy_low"].le(0.5) & table["accuracy_high"].ge(0.5)
    areas = table["auroc_low"].le(0.5) & table["auroc_high"].ge(0.5)
    assert 0.88 <= covered.mean() <= 0.995 and 0.88 <= areas.mean() <= 0.995
    assert table["accuracy"].mean() == pytest.approx(0.5, abs=0.03)
    assert table["shuffled_accuracy"].mean() == pytest.approx(0.5, abs=0.03)


def test_accuracy_is_balanced_and_majority_is_not():
    rng = np.random.default_rng(4)
    labels = (rng.random(1500) < 0.1).astype(int)
    activations = rng.normal(0, 1, (1500, 1, 2, 5))
    codes = split_examples(keys(1500)).codes
    result = probe_heads(activations, labels, codes, settings=SETTINGS).results[0]
    assert result.majority == pytest.approx(1 - labels[codes == TEST].mean()) and result.majority > 0.85
    assert abs(result.accuracy - 0.5) < 0.2


def test_random_directions_are_unit_repeatable_and_their_own(planted):
    activations, _, _, codes = planted
    controls = random_directions(activations, codes, [(1, 2), (0, 3)], count=3, seed=5)
    assert [len(control) for control in controls] == [2, 2, 2]
    alone = random_directions(activations, codes, [(0, 3)], count=2, seed=5)
    assert np.array_equal(alone[1][0].vector, controls[1][1].vector)
    for control in controls:
        for direction in control:
            assert np.linalg.norm(direction.vector) == pytest.approx(1, abs=1e-6)
            along = activations[codes == TRAIN][:, direction.layer, direction.head] @ direction.vector
            assert direction.sigma == pytest.approx(along.std(), rel=1e-4)
    assert abs(controls[0][0].vector @ controls[1][0].vector) < 0.999
    assert not np.array_equal(
        random_vector(8, 0, 0, layer=1, head=2), random_vector(8, 0, 0, layer=2, head=1)
    )
    with pytest.raises(ProbeError, match="no head 9 in layer 1"):
        random_directions(activations, codes, [(1, 9)], count=1, seed=0)


def worst_error(draws, expected):
    """Largest error of the covariance of normal draws, in its standard errors."""
    variances = np.diag(expected)
    errors = np.sqrt((np.outer(variances, variances) + expected**2) / len(draws))
    return np.abs((draws.T @ draws / len(draws) - expected) / errors).max()


def test_covariance_directions_have_the_covariance_of_their_heads_train_activations(planted):
    rng = np.random.default_rng(3)
    train = rng.normal(0, 1, (500, 6)) @ rng.normal(0, 1, (6, 6)) + 5
    expected = np.cov(train.T)
    draws = np.stack([covariance_vector(train, rng) for _ in range(3000)])
    assert worst_error(draws, expected) < 4.5
    isotropic = rng.normal(0, np.sqrt(np.trace(expected) / 6), (3000, 6))
    assert worst_error(isotropic, expected) > 20
    # As they are stored: of length 1, of the head's train statements alone, other draws than isotropic ones.
    activations, _, theta, codes = planted
    options = {"count": 400, "seed": 0}
    matched, others = (
        np.stack([c[0].vector for c in random_directions(activations, codes, [(1, 2)], kind=kind, **options)])
        for kind in ("covariance", "isotropic")
    )
    values = activations[codes == TRAIN][:, 1, 2].astype(np.float64)
    normal = unit(rng.multivariate_normal(np.zeros(10), np.cov(values.T), 20_000))
    along = ((matched @ theta) ** 2).mean()
    error = ((normal @ theta) ** 2).std() / np.sqrt(400)
    assert np.linalg.norm(matched, axis=1) == pytest.approx(1, abs=1e-5)
    assert along == pytest.approx(((normal @ theta) ** 2).mean(), abs=4 * error)
    assert ((others @ theta) ** 2).mean() < along - 4 * error and not np.isclose(matched, others).any()


def test_directions_of_permuted_labels_go_the_whole_way_by_other_labels(planted):
    activations, labels, theta, codes = planted
    truth = labels.astype(bool)
    options = {"settings": SETTINGS, "n_heads": 3}
    run = probe_heads(activations, labels, codes, settings=SETTINGS)
    heads = select_heads(run.results, 3)
    (same,) = permuted_directions(
        activations, labels, codes, count=1, permute=lambda labels, codes, control: labels, **options
    )
    for direction, original in zip(same, run.directions("mass_mean", heads), strict=True):
        assert (direction.layer, direction.head) == (original.layer, original.head)
        assert np.array_equal(direction.vector, original.vector) and direction.sigma == original.sigma
    for control in range(2):
        permuted = permuted_labels(truth, codes, control)
        assert (permuted[codes == TEST] == truth[codes == TEST]).all()
        for code in (TRAIN, SELECT):
            part = codes == code
            assert permuted[part].sum() == truth[part].sum() and 0.3 < (permuted != truth)[part].mean() < 0.7
    nulls = list(permuted_directions(activations, labels, codes, count=4, **options))
    chosen = [{(direction.layer, direction.head) for direction in of_null} for of_null in nulls]
    assert heads[0] == (1, 2) and not all((1, 2) in places for places in chosen)
    assert len({frozenset(places) for places in chosen}) > 1
    assert {direction.method for direction in nulls[3]} == {"permuted-3"}
    in_planted = [d.vector @ theta for of_null in nulls for d in of_null if (d.layer, d.head) == (1, 2)]
    assert all(abs(cosine) < 0.95 for cosine in in_planted)


def test_directions_made_anew_go_the_whole_way_by_statements_drawn_again(planted):
    activations, labels, theta, codes = planted
    truth, options = labels.astype(bool), {"settings": SETTINGS, "n_heads": 3}
    run = probe_heads(activations, labels, codes, settings=SETTINGS)
    (same,) = resampled_directions(
        activations, labels, codes, count=1, places=lambda labels, codes, n: np.arange(len(labels)), **options
    )
    for direction, original in zip(
        same, run.directions("mass_mean", select_heads(run.results, 3)), strict=True
    ):
        assert (direction.layer, direction.head) == (original.layer, original.head)
        assert np.array_equal(direction.vector, original.vector) and direction.sigma == original.sigma
    places = [resampled_places(truth, codes, replicate) for replicate in range(2)]
    assert (places[0] != places[1]).any() and (places[0] == resampled_places(truth, codes, 0)).all()
    for at in places:
        assert (truth[at] == truth).all() and (codes[at] == codes).all()
        assert (at[codes == TEST] == np.flatnonzero(codes == TEST)).all()
        train = at[codes == TRAIN]
        assert 0.55 < len(set(train)) / len(train) < 0.7  # 1 - 1/e of them
    anew = list(resampled_directions(activations, labels, codes, count=4, **options))
    in_planted = [d.vector @ theta for heads in anew for d in heads if (d.layer, d.head) == (1, 2)]
    assert len(in_planted) == 4 and min(in_planted) > 0.9 and len(set(in_planted)) == 4
    assert {direction.method for direction in anew[3]} == {"resampled-3"}


def test_number_of_heads():
    assert [default_heads(n) for n in (2, 32, 384, 1000)] == [2, 4, 30, 78]
    assert resolve_heads("auto", 384) == 30 and resolve_heads(384, 384) == 384
    with pytest.raises(ProbeError, match="cannot steer 33 heads: the model has 32"):
        resolve_heads(33, 32)


def test_ties_of_selection_are_broken_by_the_area_then_by_place(planted):
    activations, labels, _, codes = planted
    results = probe_heads(activations, labels, codes, settings=SETTINGS).results
    order = select_heads(results[::-1], 8)
    accuracies = {
        (result.layer, result.head): (result.select_accuracy, result.select_auroc) for result in results
    }
    assert [accuracies[place] for place in order] == sorted(accuracies.values(), reverse=True)


@given(n=st.integers(60, 400), extra=st.integers(1, 200), seed=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_adding_examples_moves_no_other(n, extra, seed):
    before = split_examples(keys(n), seed=seed)
    after = split_examples(keys(n + extra), seed=seed)
    assert np.array_equal(before.codes, after.codes[:n])


def test_many_groups_stay_whole_and_fractions_are_kept():
    groups = [f"g{i // 4}" for i in range(4000)]
    split = split_examples(keys(4000), groups, select_fraction=0.25, test_fraction=0.15)
    assert split.by == "group"
    by_group = {}
    for group, code in zip(groups, split.codes, strict=True):
        by_group.setdefault(group, set()).add(int(code))
    assert all(len(codes) == 1 for codes in by_group.values())
    shares = [(split.codes == code).mean() for code in (TRAIN, SELECT, TEST)]
    assert shares == pytest.approx([0.6, 0.25, 0.15], abs=0.04)
    assert np.array_equal(split_codes(split.names), split.codes)


def test_few_large_groups_are_spread_over_the_splits():
    groups = [f"g{i % 8}" for i in range(3000)]
    split = split_examples(keys(3000), groups)
    assert split.by == "key"
    for group in range(8):
        assert (split.codes[group::8] == TEST).mean() == pytest.approx(0.2, abs=0.08)


def test_unnamed_groups_are_each_their_own():
    groups = ["unspecified", None, "None", " ", "nan"] * 200
    split = split_examples(keys(1000), groups)
    assert (split.codes == TEST).mean() == pytest.approx(0.2, abs=0.04)
    assert effective_groups(["a", "b", "b"]) == pytest.approx(9 / 5)
    mixed = split_examples(keys(1000), ["unspecified"] * 900 + ["named"] * 100, by="group")
    assert len(set(mixed.codes[900:])) == 1 and len(set(mixed.codes[:900])) == 3


def test_drawing_is_even_by_label_and_stable():
    labels = np.array([1] * 30 + [0] * 170)
    rows = draw_examples(keys(200), labels, 50)
    assert len(rows) == 50 and labels[rows].sum() == 25 and (np.diff(rows) > 0).all()
    assert labels[draw_examples(keys(200), labels, 100)].sum() == 30
    assert len(draw_examples(keys(200), labels, None)) == 200
    assert set(draw_examples(keys(200), labels, 20)) <= set(rows)


def test_useless_input_is_one_clear_line(planted):
    activations, labels, _, codes = planted
    with pytest.raises(ProbeError, match="holds 0 toxic"):
        probe_heads(activations, np.zeros(1200), codes, settings=SETTINGS)
    with pytest.raises(ProbeError, match=r"examples, layers, heads, d"):
        probe_heads(activations[:, 0], labels, codes, settings=SETTINGS)
    with pytest.raises(ProbeError, match="examples for 1200 labels"):
        probe_heads(activations[:-1], labels, codes, settings=SETTINGS)
    broken = activations.copy()
    broken[3, 0, 0, 0] = np.inf
    with pytest.raises(ProbeError, match="layer 0: activations are not finite"):
        probe_heads(broken, labels, codes, settings=SETTINGS)
    with pytest.raises(ProbeError, match="empty"):
        split_examples([])
    with pytest.raises(ProbeError, match="fraction"):
        split_examples(keys(9), select_fraction=0.6, test_fraction=0.4)
    with pytest.raises(ProbeError, match="unknown split"):
        split_codes(["dev"])
