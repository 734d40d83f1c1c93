"""How well the heads of an arm read toxicity: mean, quantiles and right tail, and whether arms differ.

Knows which test statements each head got right, nothing of the database. Heads are not independent samples:
they read the same statements of the same model. So statements are resampled, all heads and arms with them,
and seeds vary as `pipeline.statistics.seeds` has it; heads are never resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hormesis.pipeline.probing.feature_cells import Clusters, Floats, resampled
from hormesis.pipeline.statistics import Contrast, Spread, pooled_spread

Hits = NDArray[np.bool_]
"""[heads, statements], true where a head's probe is right."""


class ArmGroup(NamedTuple):
    """Arms that differ by their seed alone."""

    kind: str
    share: float


CLEAN = ArmGroup("toxic", 0.0)
THRESHOLDS = (0.7, 0.8, 0.85, 0.9)
NAMES = ("mean", "median", "p90", "max", *(f"above-{threshold:g}" for threshold in THRESHOLDS))


@dataclass(frozen=True, eq=False)
class Summary:
    """One statistic of one arm; `difference` is against the arm without toxic text, None in that arm.

    Ends are None where no seed and no resample gives another value: that tells nothing of how far off it is.
    """

    arm: ArmGroup
    name: str
    value: float
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    p: float | None
    seeds: int
    n: int
    heads: int
    interval: str


def statistics(accuracies: Floats) -> Floats:
    """The statistics in the order of NAMES over the last axis: [..., heads] to [..., names]."""
    quantiles = np.quantile(accuracies, (0.5, 0.9), axis=-1)
    above = [(accuracies > threshold).mean(axis=-1) for threshold in THRESHOLDS]
    return np.stack([accuracies.mean(axis=-1), *quantiles, accuracies.max(axis=-1), *above], axis=-1)


def balanced(hits: Hits, toxic: NDArray[np.bool_], times: Floats) -> Floats:
    """Balanced accuracy [draws, heads] when statement i counts `times[draw, i]` times."""
    recalls = []
    for is_class in (toxic, ~toxic):
        weights = times[:, is_class]
        recalls.append(weights @ hits[:, is_class].T.astype(np.float64) / weights.sum(axis=1, keepdims=True))
    return np.asarray(sum(recalls) / 2)


def summarise_heads(
    hits_by_arm: Mapping[ArmGroup, Sequence[Hits]],
    toxic: NDArray[np.bool_],
    clusters: Clusters,
    *,
    draws: int = 500,
    seed: int = 0,
    level: float = 0.95,
) -> list[Summary]:
    """Every statistic of every arm, each given as one `Hits` [heads, statements] per seed over the same
    statements.

    The variance between seeds is pooled over arms. Half widths of seeds (Student's t) and statements
    (standard error of the bootstrap, clusters resampled whole) are joined as the root of their squares; both
    grow with the noise of the statements, so the interval is a little wide rather than narrow. With one seed
    in every arm it is over statements alone, says so, and there is no p.
    """
    resamples = _resampled(hits_by_arm, toxic, clusters, draws=draws, seed=seed)
    summaries = []
    for index, name in enumerate(NAMES):
        by_arm = {arm: of_arm[:, :, index] for arm, of_arm in resamples.items()}
        spread = pooled_spread(of_seeds[:, 0] for of_seeds in by_arm.values())
        interval = _method(spread, draws, level)
        for arm in by_arm:
            heads = hits_by_arm[arm][0].shape[0]
            summaries.append(
                _summary(
                    by_arm, arm, spread, name=name, n=len(toxic), heads=heads, interval=interval, level=level
                )
            )
    return summaries


def against_clean(
    hits_by_arm: Mapping[ArmGroup, Sequence[Hits]],
    toxic: NDArray[np.bool_],
    clusters: Clusters,
    *,
    arm: ArmGroup,
    statistic: str,
    draws: int = 500,
    seed: int = 0,
) -> Contrast | None:
    """The difference that `summarise_heads` gives for one arm and statistic, as a contrast (arm minus CLEAN).

    None where an arm is missing, or no arm has two seeds.
    """
    if arm not in hits_by_arm or CLEAN not in hits_by_arm:
        return None
    index = NAMES.index(statistic)
    # Other arms give the spread of seeds alone, for which no statement is resampled.
    observed = _resampled(hits_by_arm, toxic, clusters, draws=0, seed=seed)
    spread = pooled_spread(values[:, 0, index] for values in observed.values())
    compared = {side: hits_by_arm[side] for side in (arm, CLEAN)}
    resamples = _resampled(compared, toxic, clusters, draws=draws, seed=seed)
    sides = [(resamples[arm][:, :, index], 1.0), (resamples[CLEAN][:, :, index], -1.0)]
    return _contrast(sides, spread, len(toxic)) if spread else None


def _resampled(
    hits_by_arm: Mapping[ArmGroup, Sequence[Hits]],
    toxic: NDArray[np.bool_],
    clusters: Clusters,
    *,
    draws: int,
    seed: int,
) -> dict[ArmGroup, Floats]:
    """Statistics [seeds, 1 + draws, names] by arm, observed first; `weights` [1 + draws, statements]."""
    rng = np.random.default_rng(seed)
    weights = np.stack([np.ones(len(toxic)), *(resampled(clusters, rng) for _ in range(draws))])
    return {
        arm: np.stack([statistics(balanced(hits, toxic, weights)) for hits in hits_of_seeds])
        for arm, hits_of_seeds in hits_by_arm.items()
    }


def _method(spread: Spread | None, draws: int, level: float) -> str:
    method = f"bootstrap over statements, {draws} draws"
    if spread is None:
        return f"{method}; one seed only, {level:.0%}"
    return f"Student's t over seeds, variance pooled over arms (df {spread.df}), with a {method}, {level:.0%}"


def summarise_means(
    statistic: str, values: Mapping[ArmGroup, Sequence[float]], *, n: int, heads: int, level: float = 0.95
) -> list[Summary]:
    """Summaries of one number per seed, `values` by arm [seeds]; empty where no arm has two."""
    spread = pooled_spread(values.values())
    if spread is None:
        return []
    repeated = {
        arm: np.array(of_seeds, dtype=np.float64)[:, None].repeat(3, 1) for arm, of_seeds in values.items()
    }
    interval = f"Student's t over seeds, variance pooled over arms (df {spread.df}), {level:.0%}"
    return [
        _summary(repeated, arm, spread, name=statistic, n=n, heads=heads, interval=interval, level=level)
        for arm in repeated
    ]


def summarise_resamples(
    statistic: str, values: Mapping[ArmGroup, Sequence[Floats]], *, n: int, heads: int, level: float = 0.95
) -> list[Summary]:
    """Summaries of a gain that was resampled over statements, joined as `summarise_heads` has it.

    `values` by arm: per seed [1 + draws], observed first, under resamples that all arms share.
    """
    stacked = {arm: np.stack(list(of_seeds)) for arm, of_seeds in values.items()}
    spread = pooled_spread(of_seeds[:, 0] for of_seeds in stacked.values())
    interval = _method(spread, next(iter(stacked.values())).shape[1] - 1, level)
    return [
        _summary(
            stacked, arm, spread, name=statistic, n=n, heads=heads, interval=interval, level=level, least=-1.0
        )
        for arm in stacked
    ]


def _contrast(sides: list[tuple[Floats, float]], spread: Spread | None, n: int) -> Contrast:
    """A weighted sum of arms' means over seeds; sides: (values [seeds, 1 + draws], weight); n statements."""
    means = np.sum([weight * values.mean(axis=0) for values, weight in sides], axis=0)
    variance_factor = sum(weight**2 / len(values) for values, weight in sides)
    return Contrast(
        value=float(means[0]),
        seed_variance=spread.variance * variance_factor if spread else 0.0,
        seed_df=spread.df if spread else 1,
        prompt_variance=float(means[1:].var(ddof=1)),
        prompt_df=max(n - 1, 1),
        n=n,
        seeds=min(len(values) for values, _ in sides),
    )


def _ends(contrast: Contrast | None, level: float) -> tuple[float | None, float | None]:
    """Ends of an interval; None where there is no contrast, or nothing varies."""
    return contrast.interval(level) if contrast and contrast.error else (None, None)


def _summary(
    values: Mapping[ArmGroup, Floats],
    arm: ArmGroup,
    spread: Spread | None,
    *,
    name: str,
    n: int,
    heads: int,
    interval: str,
    level: float,
    least: float = 0.0,
) -> Summary:
    """A statistic of one arm and its difference from the clean one; `values` [seeds, 1 + draws] by arm."""
    mean = _contrast([(values[arm], 1.0)], spread, n)
    low, high = _ends(mean, level)
    if low is None or high is None:
        interval = f"no interval: the same in every seed and in all {values[arm].shape[1] - 1} draws"
    else:
        low, high = max(low, least), min(high, 1.0)
    difference = None
    if arm != CLEAN and CLEAN in values:
        difference = _contrast([(values[arm], 1.0), (values[CLEAN], -1.0)], spread, n)
    difference_low, difference_high = _ends(difference, level)
    return Summary(
        arm=arm,
        name=name,
        value=mean.value,
        low=low,
        high=high,
        difference=difference.value if difference else None,
        difference_low=difference_low,
        difference_high=difference_high,
        p=difference.p_value() if difference and difference.error and spread else None,
        seeds=mean.seeds,
        n=mean.n,
        heads=heads,
        interval=interval,
    )
