"""Gains over baselines in planted worlds: word counts gain nothing, a planted composition gains its size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from hormesis.pipeline.probing.baselines import (
    ALL,
    BEST,
    EMBEDDINGS,
    LENGTH,
    MATCHED,
    SELECTED,
    UNSURE,
    WORDS,
    Reading,
    best_reading,
    embedding_reading,
    gains,
    statement_subsets,
    text_readings,
)
from hormesis.pipeline.probing.probes import ProbeError, probe_heads
from hormesis.pipeline.statistics.discrimination import auroc_resamples, discriminate
from hormesis.pipeline.study.config_sections import ProbeConfig
from hormesis.pipeline.text.probe_splits import SELECT, TEST, TRAIN, split_examples

SETTINGS = ProbeConfig(bootstrap=300)
N = 3000
VOCABULARY = [f"w{i}" for i in range(10, 50)]


def world(toxic_words: float, seed: int = 0):
    """Word counts, texts and labels: `toxic_words` moves how often half of the words are drawn by label;
    `left` or `lean` and `west` or `east` stand in each, as often whatever the label, and go together by it.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, N)
    lean = np.where(np.arange(40) < 20, toxic_words, -toxic_words)
    chances = np.exp(np.where(labels[:, None] == 1, lean, -lean))
    counts = np.stack([rng.multinomial(12, row / row.sum()) for row in chances])
    left = rng.integers(0, 2, N)
    right = np.where(labels == 1, left, 1 - left)
    texts = [
        " ".join([*np.repeat(VOCABULARY, row), ("left", "lean")[a], ("west", "east")[b]])
        for row, a, b in zip(counts, left, right, strict=True)
    ]
    return rng, labels, counts, texts, split_examples([f"{seed}-{i}" for i in range(N)]).codes


def gains_of(activations, labels, texts, codes):
    """Gains by baseline and heads of a model with these activations [n, layers, heads, d]."""
    run = probe_heads(activations.astype(np.float32), labels, codes, settings=SETTINGS)
    baselines = text_readings(texts, labels, codes)
    of_heads = gains(best_reading(run, 3), baselines, labels[codes == TEST], draws=300)
    return {(gain.baseline, gain.heads): gain for gain in of_heads}


def ends(gain):
    return np.quantile(gain.gain[1:], [0.025, 0.975])


@pytest.mark.parametrize("seed", range(3))
def test_heads_that_hold_nothing_but_word_counts_gain_nothing(seed):
    rng, labels, counts, texts, codes = world(0.15, seed)
    activations = counts @ rng.normal(0, 1, (2, 4, 40, 40)) + rng.normal(0, 0.05, (2, 4, N, 40))
    of_model = gains_of(activations.transpose(2, 0, 1, 3), labels, texts, codes)
    for heads in (BEST, SELECTED):
        gain = of_model[WORDS, heads]
        assert gain.is_chosen and gain.baseline_auroc[0] > 0.65
        low, high = ends(gain)
        assert low <= 0 <= high


def test_a_planted_composition_gains_what_was_planted():
    """Words tell nothing of which two go together; three heads hold it, 1.5 standard deviations apart."""
    rng, labels, _, texts, codes = world(0.0)
    activations = rng.normal(0, 1, (N, 2, 4, 8))
    activations[:, 1, :3, 0] += 1.5 * labels[:, None]
    of_model = gains_of(activations, labels, texts, codes)
    planted = norm.cdf(1.5 / np.sqrt(2)) - 0.5
    for heads in (BEST, SELECTED):
        low, high = ends(of_model[WORDS, heads])
        assert 0.05 < low <= planted <= high
    assert of_model[WORDS, BEST].n_heads == 1 and of_model[LENGTH, SELECTED].n_heads == 3
    chosen = {baseline for (baseline, _), gain in of_model.items() if gain.is_chosen}
    better = max((WORDS, LENGTH), key=lambda name: of_model[name, BEST].baseline_select_auroc)
    assert chosen == {better}
    assert all(abs(gain.baseline_auroc[0] - 0.5) < 0.06 for gain in of_model.values())


def test_statements_of_the_same_words_are_pairs_and_unsure_ones_are_chosen_without_labels():
    rng = np.random.default_rng(0)
    words, labels = Reading(rng.normal(0, 1, (1, 120)), np.ones(1)), np.arange(120) % 2
    pairs = [f"{'left right' if i % 2 else 'Right left'} {i // 2}" for i in range(80)]
    subsets = statement_subsets(pairs + [f"alone {i}" for i in range(40)], labels, words)
    assert np.flatnonzero(subsets[MATCHED]).tolist() == list(range(80))
    limit = np.sort(np.abs(words.scores[0]))[39]
    assert (subsets[UNSURE] == (np.abs(words.scores[0]) <= limit)).all() and subsets[ALL].all()
    again = statement_subsets(pairs + ["alone"] * 40, 1 - labels, words)
    assert (again[UNSURE] == subsets[UNSURE]).all()
    assert list(statement_subsets([f"alone {i}" for i in range(120)], labels, words)) == [ALL, UNSURE]


def test_where_words_make_both_labels_a_planted_composition_is_what_is_gained():
    """Half of the statements are pairs of one bag of words; a head holds words, and order by 1.5 spreads."""
    rng, labels, counts, texts, codes = world(0.3)
    texts, counts, codes = list(texts), counts.copy(), codes.copy()
    for i in range(0, N // 2, 2):  # twins: the first one's words, the other label
        labels[i + 1], counts[i + 1], codes[i + 1] = 1 - labels[i], counts[i], codes[i]
        texts[i + 1] = " ".join(reversed(texts[i].split()))
    of_words = counts @ rng.normal(0, 0.3, 40)
    activations = rng.normal(0, 1, (N, 1, 2, 4))
    activations[:, 0, :, 0] += of_words[:, None]
    activations[:, 0, :, 1] += 1.5 * labels[:, None]
    run = probe_heads(activations.astype(np.float32), labels, codes, settings=SETTINGS)
    baselines, of_test = text_readings(texts, labels, codes), labels[codes == TEST]
    test_texts = [text for text, code in zip(texts, codes, strict=True) if code == TEST]
    matched = statement_subsets(test_texts, of_test, baselines[WORDS])[MATCHED]
    readings = {WORDS: baselines[WORDS].of(matched)}
    best, _ = gains(best_reading(run, 2).of(matched), readings, of_test[matched], draws=300)
    assert matched.sum() == pytest.approx(len(of_test) / 2, rel=0.15)
    assert best.baseline_auroc[0] == pytest.approx(0.5, abs=1e-9)
    assert 0.1 < ends(best)[0] <= norm.cdf(1.5 / np.sqrt(2)) - 0.5 + 0.02


def test_length_and_punctuation_read_what_words_cannot():
    labels = np.arange(600) % 2
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(VOCABULARY, rng.integers(5, 9) + 4 * label)) for label in labels]
    codes = split_examples([f"{i}" for i in range(600)]).codes
    readings = text_readings(texts, labels, codes)
    assert roc_auc_score(labels[codes == TEST], readings[LENGTH].scores[0]) > 0.95
    assert readings[LENGTH].select_auroc > readings[WORDS].select_auroc
    again = Reading.from_json(readings[WORDS].as_json())
    assert np.array_equal(again.scores, readings[WORDS].scores)


def test_gains_are_those_of_sklearn_and_the_paired_bootstrap_is_a_loop():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 80)
    heads = Reading(np.round(rng.normal(labels, 1, (2, 80)), 1), np.array([0.8, 0.7]))
    words = Reading(np.round(rng.normal(0.5 * labels, 1, (1, 80)), 1), np.array([0.6]))
    best, selected = gains(heads, {EMBEDDINGS: words}, labels, draws=40, seed=3)
    of_heads = [roc_auc_score(labels, scores) for scores in heads.scores]
    of_words = roc_auc_score(labels, words.scores[0])
    assert best.gain[0] == pytest.approx(of_heads[0] - of_words)
    assert selected.gain[0] == pytest.approx(np.mean(of_heads) - of_words)
    generator = np.random.default_rng(3)
    toxic, other = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    places_by_class = [generator.integers(0, len(side), (len(side), 40)) for side in (toxic, other)]
    for draw in range(40):
        rows = np.concatenate(
            [side[places[:, draw]] for side, places in zip((toxic, other), places_by_class, strict=True)]
        )
        looped = [roc_auc_score(labels[rows], scores[rows]) for scores in (*heads.scores, words.scores[0])]
        assert best.gain[1 + draw] == pytest.approx(looped[0] - looped[2], abs=1e-6)
        assert selected.gain[1 + draw] == pytest.approx(np.mean(looped[:2]) - looped[2], abs=1e-6)
    resamples = auroc_resamples(heads.scores, labels, draws=500)
    ends_of_probes = discriminate(heads.scores, labels)
    assert np.quantile(resamples[:, 1:], 0.025, axis=1) == pytest.approx(ends_of_probes.auroc_low)


def test_embeddings_are_fitted_as_heads_are():
    rng, labels, counts, _, codes = world(0.15)
    embeddings = (counts @ rng.normal(0, 1, (40, 16)) / 12).astype(np.float32)
    reading = embedding_reading(embeddings, labels, codes, SETTINGS)
    run = probe_heads(embeddings[:, None, None], labels, codes, settings=SETTINGS)
    assert roc_auc_score(labels[codes == TEST], reading.scores[0]) == pytest.approx(run.results[0].auroc)
    assert np.array_equal(reading.scores, best_reading(run, 1).scores)


@pytest.mark.parametrize("code", [TRAIN, SELECT, TEST])
def test_a_split_of_one_class_is_refused(code):
    labels, codes = np.arange(60) % 2, np.repeat([TRAIN, SELECT, TEST], 20).astype(np.int8)
    labels[codes == code] = 1
    with pytest.raises(ProbeError, match="0 non-toxic examples"):
        text_readings(["a b c"] * 60, labels, codes)
