"""How well scores tell two classes apart: balanced accuracy, AUROC, agreement of scorers, many at once.

Knows scores and labels only. Intervals are stratified percentile bootstraps over examples (each class keeps
its size); all rows share their resamples, so that differences between heads keep their pairing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from hormesis.pipeline.statistics import Floats, StatisticsError

Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Discrimination:
    """Per row: value, low and high of balanced accuracy and of AUROC, each float64 [rows]."""

    accuracy: Floats
    accuracy_low: Floats
    accuracy_high: Floats
    auroc: Floats
    auroc_low: Floats
    auroc_high: Floats
    n: int
    method: str


def _classes(labels: ArrayLike, n: int) -> Booleans:
    toxic = np.asarray(labels).astype(bool)
    if toxic.shape != (n,):
        raise StatisticsError(f"{len(toxic)} labels for {n} scores")
    if toxic.all() or not toxic.any():
        raise StatisticsError("both classes must be present, toxic and not")
    return toxic


def _rows(scores: ArrayLike) -> Floats:
    array = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if not np.isfinite(array).all():
        raise StatisticsError("scores: holds a number that is not finite")
    return array


def balanced_accuracy(scores: ArrayLike, labels: ArrayLike, threshold: float = 0.0) -> Floats:
    """Mean of the two class recalls for `score > threshold`; `scores` [n] or [rows, n], result [rows]."""
    array = _rows(scores)
    toxic = _classes(labels, array.shape[1])
    fired = array > threshold
    recall, rejection = fired[:, toxic].mean(axis=1), (~fired[:, ~toxic]).mean(axis=1)
    return np.asarray((recall + rejection) / 2)


def auroc(scores: ArrayLike, labels: ArrayLike) -> Floats:
    """Area under the ROC curve, by ranks (ties count half); `scores` [n] or [rows, n], result [rows]."""
    array = _rows(scores)
    toxic = _classes(labels, array.shape[1])
    positives, negatives = int(toxic.sum()), int((~toxic).sum())
    ranks = scipy.stats.rankdata(array, axis=1)[:, toxic].sum(axis=1)
    return np.asarray((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def _counts(n: int, draws: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """How often each of n examples appears in each resample: float32 [n, draws]."""
    flat = rng.integers(0, n, size=(n, draws)) * draws + np.arange(draws)
    return np.bincount(flat.ravel(), minlength=n * draws).reshape(n, draws).astype(np.float32)


def _auroc_draws(
    positives: Floats, negatives: Floats, up: NDArray[np.float32], *, down: NDArray[np.float32]
) -> Floats:
    """AUROC of one row under every resample, [draws]; `up`, `down`: times each example is drawn, [n, draws].

    With the negatives in order, the resampled negatives below a positive are a cumulative sum; rows are
    contiguous over draws, so every step is a plain vector operation.
    """
    order = np.argsort(negatives, kind="stable")
    below = np.zeros((len(negatives) + 1, down.shape[1]), dtype=np.float32)
    np.cumsum(down[order], axis=0, out=below[1:])
    lower_rank = np.searchsorted(negatives[order], positives, side="left")
    upper_rank = np.searchsorted(negatives[order], positives, side="right")
    wins = np.einsum("ib,ib->b", up, below[lower_rank])
    if not np.array_equal(lower_rank, upper_rank):
        wins = (wins + np.einsum("ib,ib->b", up, below[upper_rank])) / 2
    return np.asarray(wins, dtype=np.float64) / (len(positives) * len(negatives))


def _resamples(is_toxic: Booleans, draws: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Times each toxic and each other example is drawn, [positives, draws] and [negatives, draws]."""
    rng = np.random.default_rng(seed)
    return _counts(int(is_toxic.sum()), draws, rng), _counts(int((~is_toxic).sum()), draws, rng)


def auroc_resamples(scores: ArrayLike, labels: ArrayLike, *, draws: int, seed: int = 0) -> Floats:
    """AUROC, and under each resample of `discriminate`, [rows, 1 + draws]; `scores` [n] or [rows, n].

    Equal labels, draws and seed give equal resamples, so that differences between calls are paired. Raises
    StatisticsError as `discriminate` does.
    """
    score_rows = _rows(scores)
    is_toxic = _classes(labels, score_rows.shape[1])
    up, down = _resamples(is_toxic, draws, seed)
    under_draws = [_auroc_draws(row[is_toxic], row[~is_toxic], up, down=down) for row in score_rows]
    return np.column_stack([auroc(score_rows, is_toxic), np.stack(under_draws)])


def discriminate(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    threshold: float = 0.0,
    draws: int = 500,
    seed: int = 0,
    level: float = 0.95,
) -> Discrimination:
    """Balanced accuracy and AUROC with stratified bootstrap intervals; `scores` [n] or [rows, n].

    Raises StatisticsError where a class is absent or a score is not finite.
    """
    score_rows = _rows(scores)
    is_toxic = _classes(labels, score_rows.shape[1])
    positives, negatives = score_rows[:, is_toxic], score_rows[:, ~is_toxic]
    positive_draws, negative_draws = _resamples(is_toxic, draws, seed)
    recall = (positives > threshold).astype(np.float32) @ positive_draws / positives.shape[1]
    rejection = (negatives <= threshold).astype(np.float32) @ negative_draws / negatives.shape[1]
    accuracy_draws = (recall.astype(np.float64) + rejection) / 2
    auroc_draws = np.stack(
        [
            _auroc_draws(p, q, positive_draws, down=negative_draws)
            for p, q in zip(positives, negatives, strict=True)
        ]
    )
    ends = [(1 - level) / 2, (1 + level) / 2]
    accuracy_low, accuracy_high = np.quantile(accuracy_draws, ends, axis=1)
    auroc_low, auroc_high = np.quantile(auroc_draws, ends, axis=1)
    return Discrimination(
        accuracy=balanced_accuracy(score_rows, is_toxic, threshold),
        accuracy_low=accuracy_low,
        accuracy_high=accuracy_high,
        auroc=auroc(score_rows, is_toxic),
        auroc_low=auroc_low,
        auroc_high=auroc_high,
        n=score_rows.shape[1],
        method=f"stratified bootstrap over examples, {level:.0%}, {draws} draws",
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two scorers on the same texts: rank correlation (None where a scorer is constant), Cohen's kappa."""

    spearman: float | None
    kappa: float
    equal: float
    """Share of texts on which both say the same at the threshold."""
    n: int


def agreement(first: ArrayLike, second: ArrayLike, threshold: float = 0.5) -> Agreement:
    """How far two scorers agree; both arguments [n]. Kappa is 1 where both call every text the same."""
    a, b = _rows(first)[0], _rows(second)[0]
    if a.shape != b.shape or len(a) < 2:
        raise StatisticsError(f"agreement needs two or more texts scored by both: {len(a)} and {len(b)}")
    above_a, above_b = a > threshold, b > threshold
    equal = float((above_a == above_b).mean())
    chance = float(above_a.mean() * above_b.mean() + (1 - above_a.mean()) * (1 - above_b.mean()))
    kappa = (equal - chance) / (1 - chance) if chance < 1 else 1.0
    constant = np.ptp(a) == 0 or np.ptp(b) == 0
    rank = None if constant else float(scipy.stats.spearmanr(a, b).statistic)
    return Agreement(rank, kappa, equal, len(a))
