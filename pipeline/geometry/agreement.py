"""The figure of merit of a map of directions: do neighbours belong to heads that are alike; and its nulls.

Numbers in, numbers out. Neighbours are the most similar rows in the data, never on the picture. Scores of
statements are centred within each label first: two accurate heads agree on the labels whatever else they do,
so that uncentred rows of accurate heads neighbour each other by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Indices = NDArray[np.int64]
NullDraw = Callable[[np.random.Generator], Floats]
"""Draws rows [heads, columns] in which there is nothing to see."""
INDEPENDENT, RANDOM = "independent", "random"
NEIGHBOURS = 10
DRAWS = 100
"""Draws of each null; the smallest p-value is 1 / (draws + 1)."""
RESAMPLES = 1_000
FEW_CHECKPOINTS = 6
"""Below this many, resampling whole checkpoints says too little of how they differ."""
BY_CHECKPOINT = (
    "95 % percentile bootstrap over checkpoints, neighbours fixed; holds for checkpoints like these, and not "
    "the likeness of those that share a seed, and with it their initial weights and clean text"
)
BY_HEAD = (
    "95 % percentile bootstrap over heads, neighbours fixed, as if heads of a checkpoint were independent; "
    "holds for these checkpoints alone"
)


@dataclass(frozen=True, eq=False)
class Heads:
    """The heads that are compared, every array [heads]."""

    checkpoint: NDArray[np.str_]
    layer: Indices
    accuracy: NDArray[np.float64]
    seed: NDArray[np.float64]
    """NaN where a checkpoint belongs to no arm."""

    @property
    def checkpoints(self) -> int:
        """How many checkpoints there are."""
        return len(np.unique(self.checkpoint))

    def candidates(self) -> NDArray[np.bool_]:
        """Which heads may be neighbours of which, [heads, heads]: those of other checkpoints, where there
        are several; else all but the head itself."""
        if self.checkpoints > 1:
            return np.asarray(self.checkpoint[:, None] != self.checkpoint[None])
        return ~np.eye(len(self.layer), dtype=bool)


@dataclass(frozen=True)
class Agreement:
    """One figure of merit; the columns of `map_agreement` without its keys."""

    measure: str
    value: float
    low: float
    high: float
    expected: float | None
    independent_mean: float | None
    independent_high: float | None
    independent_p: float | None
    random_mean: float
    random_high: float
    random_p: float
    neighbours: int
    draws: int
    heads: int
    checkpoints: int
    interval: str


def unit_rows(values: Floats, strata: Indices | None = None) -> NDArray[np.float32]:
    """Rows [n, columns] of length 1, so that products are cosines; a row without spread stays zero.

    `strata` [columns]: the mean of each stratum is taken off first, row by row; the products are then
    correlations within strata.
    """
    rows = np.array(values, dtype=np.float32)
    scale = np.linalg.norm(rows, axis=1, keepdims=True)
    for stratum in () if strata is None else np.unique(strata):
        of_stratum = strata == stratum
        rows[:, of_stratum] -= rows[:, of_stratum].mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # What centring leaves of a constant row is rounding.
    rows /= np.where(lengths > 1e-5 * scale, lengths, np.inf)
    return rows


def nearest(similarity: Floats, candidates: NDArray[np.bool_], count: int = NEIGHBOURS) -> Indices:
    """Indices [n, k] of the most similar candidates of each row; k: `count`, or as many as all have."""
    k = min(count, int(candidates.sum(axis=1).min()))
    return np.argpartition(np.where(candidates, -similarity, np.inf), max(k - 1, 0), axis=1)[:, :k]


def independent_rows(scores: Floats, labels: Indices, rng: np.random.Generator) -> Floats:
    """Scores [heads, statements] with each head's own correlation with the labels, the rest plain noise.

    `labels` [statements], 1 toxic.
    """
    label = ((labels - labels.mean()) / max(float(labels.std()), 1e-12)).astype(np.float32)
    centred = scores - scores.mean(axis=1, keepdims=True)
    spread = np.maximum(centred.std(axis=1), 1e-12)
    correlation = np.clip(centred @ label / len(label) / spread, -1, 1)[:, None]
    noise = rng.standard_normal(scores.shape, dtype=np.float32)
    return np.asarray(correlation * label + np.sqrt(1 - correlation**2) * noise)


def random_rows(stored: Floats, rng: np.random.Generator) -> Floats:
    """Rows [heads, columns], each of one of its head's random directions; `stored` [directions, heads, c]."""
    return np.asarray(stored[rng.integers(0, len(stored), stored.shape[1]), np.arange(stored.shape[1])])


def agreements(
    units: Floats, nulls: Mapping[str, NullDraw], unit_null: Callable[[Floats], Floats], *, heads: Heads
) -> list[Agreement]:
    """Every figure of merit of a map of unit rows [heads, columns], with nulls and intervals.

    `nulls` has `random` and, where there are labels, `independent`; `unit_null` does to their rows what was
    done to `units`. Empty where no head has a possible neighbour.
    """
    candidates = heads.candidates()
    if len(units) < 2 or not candidates.any(axis=1).all():
        return []
    rng = np.random.default_rng(0)
    null_values = {
        name: [
            {
                measure: _value(*pair)
                for measure, pair in _of_heads(unit_null(draw(rng)), candidates, heads).items()
            }
            for _ in range(DRAWS)
        ]
        for name, draw in nulls.items()
    }
    results = []
    for measure, (of_head, of_neighbours) in _of_heads(units, candidates, heads).items():
        value = _value(of_head, of_neighbours)
        if not np.isfinite(value):
            continue  # all heads are equally accurate
        low, high, interval = _interval(of_head, of_neighbours, heads)
        summaries: dict[str, float | None] = {f"{INDEPENDENT}_{part}": None for part in ("mean", "high", "p")}
        for name, of_draws in null_values.items():
            values = np.nan_to_num(np.array([of_draw[measure] for of_draw in of_draws]))
            summaries[f"{name}_mean"] = float(values.mean())
            summaries[f"{name}_high"] = float(np.quantile(values, 0.95))
            summaries[f"{name}_p"] = float((1 + (values >= value).sum()) / (1 + DRAWS))
        results.append(
            Agreement(
                measure,
                value,
                low,
                high,
                expected=_expected(heads, candidates, measure),
                neighbours=min(NEIGHBOURS, int(candidates.sum(axis=1).min())),
                draws=DRAWS,
                heads=len(units),
                checkpoints=heads.checkpoints,
                interval=interval,
                **summaries,  # type: ignore[arg-type]
            )
        )
    return results


def _shared(heads: Heads) -> Mapping[str, NDArray[Any]]:
    """What neighbours may share; seeds only where there are several and every checkpoint has one."""
    has_seeds = heads.checkpoints > 1 and len(np.unique(heads.seed)) > 1 and np.isfinite(heads.seed).all()
    return {"layer": heads.layer, **({"seed": heads.seed} if has_seeds else {})}


def _of_heads(
    units: Floats, candidates: NDArray[np.bool_], heads: Heads
) -> dict[str, tuple[NDArray[np.float64] | None, NDArray[np.float64]]]:
    """By measure, a head's own value (None where there is none) and its neighbours' mean, [heads] each."""
    similarity = units @ units.T
    neighbours = nearest(similarity, candidates)
    likeness = np.where(candidates, similarity, 0.0).sum(axis=1) / candidates.sum(axis=1)
    shares = {
        measure: (None, (values[neighbours] == values[:, None]).mean(axis=1))
        for measure, values in _shared(heads).items()
    }
    accuracy = (heads.accuracy, heads.accuracy[neighbours].mean(axis=1))
    return {"likeness": (None, likeness), "accuracy": accuracy, **shares}


def _value(of_head: NDArray[np.float64] | None, of_neighbours: NDArray[np.float64]) -> float:
    """The correlation of both, or the mean; NaN where nothing varies."""
    if of_head is None:
        return float(of_neighbours.mean())
    if min(np.ptp(of_head), np.ptp(of_neighbours)) <= 0:
        return float("nan")
    return float(np.corrcoef(of_head, of_neighbours)[0, 1])


def _expected(heads: Heads, candidates: NDArray[np.bool_], measure: str) -> float | None:
    """The share of a head's possible neighbours that have the same value, over heads; None for no share."""
    values = _shared(heads).get(measure)
    if values is None:
        return None
    same = (values[:, None] == values[None]) & candidates
    return float((same.sum(axis=1) / candidates.sum(axis=1)).mean())


def _interval(
    of_head: NDArray[np.float64] | None, of_neighbours: NDArray[np.float64], heads: Heads
) -> tuple[float, float, str]:
    """95 % bootstrap interval of a figure, and how it was made.

    Heads of a checkpoint see the same weights and are no independent samples, so whole checkpoints are drawn
    where there are enough of them.
    """
    rng = np.random.default_rng(1)
    by_checkpoint = heads.checkpoints >= FEW_CHECKPOINTS
    if by_checkpoint:
        units = [np.flatnonzero(heads.checkpoint == name) for name in np.unique(heads.checkpoint)]
    else:
        units = list(np.arange(len(of_neighbours))[:, None])
    values = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([units[place] for place in rng.integers(0, len(units), len(units))])
        values.append(_value(None if of_head is None else of_head[rows], of_neighbours[rows]))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high), BY_CHECKPOINT if by_checkpoint else BY_HEAD
