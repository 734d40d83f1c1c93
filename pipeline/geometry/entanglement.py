"""How far a head's toxicity direction lies along the directions of other features, corrected for noise.

Numbers in, numbers out. Directions are differences of means (`feature_cells`) after whitening by the
covariance that no label explains (`whitening`). The cosine of two estimated directions is too small, because
the noise of each adds to its length. Split halves cure that: with a1, a2 and b1, b2 the estimates from two
halves, cos(a1, b2) / sqrt(cos(a1, a2) cos(b1, b2)) (disattenuation, Spearman 1904). Averaged over all splits,
each inner product is a sum over pairs of different statements, which is what `cell_products` gives (Walther
et al. 2016 call it the cross-validated distance); so no draw of splits adds noise of its own.

Three references stand beside each value: permuted feature labels, random directions, and Welch's bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, TypeVar

import numpy as np
import scipy
from numpy.typing import NDArray

from hormesis.pipeline.geometry.cell_products import Products, products
from hormesis.pipeline.probing.feature_cells import Clusters, Floats, Variable
from hormesis.pipeline.probing.whitening import whiten
from hormesis.pipeline.toy.geometry import welch_bound

LEAST_RELIABILITY = 0.5
"""Below this share of signal in a direction's squared length its angle is not given."""
SIGNAL_P = 0.01
"""Nor where noise alone gives a direction as long more often than this."""
_CELLS = 8_000_000  # numbers of one block of heads, as float32 32 MB


@dataclass(frozen=True, eq=False)
class Cosines:
    """Of each head and feature, [heads, features]; NaN where a direction is too noisy to have an angle."""

    cosine: Floats
    low: Floats
    high: Floats
    null_low: Floats
    null_high: Floats
    p: Floats
    reliability: Floats
    toxicity_reliability: Floats


@dataclass(frozen=True, eq=False)
class Largest:
    """Of each head, [heads]: the largest |cosine| with interval, null and references; NaN for none.

    `feature` is its place among the features, -1 for none; `used` counts the features with a cosine.
    """

    value: Floats
    low: Floats
    high: Floats
    feature: NDArray[np.int64]
    null_mean: Floats
    null_high: Floats
    p: Floats
    random_median: Floats
    random_high: Floats
    welch: Floats
    used: NDArray[np.int64]


def entanglement(
    activations: NDArray[np.floating],
    toxic: NDArray[np.bool_],
    variables: Sequence[Variable],
    *,
    clusters: Clusters,
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Cosines, Largest]:
    """Cosines of toxicity with every feature, and the largest of them, for activations [n, heads, d].

    Permutations and resamples move whole clusters. The null of a cosine has two parts: the direction of
    permuted feature labels against toxicity's, and toxicity's own noise (its residuals with random signs)
    against the feature's; the first alone would be too narrow where a feature is stronger than toxicity. The
    interval of a cosine is a percentile bootstrap; that of the largest is from the greatest lower end, at a
    level divided by the number of features, to the greatest upper end, so it holds although the largest was
    picked. Raises ValueError for shapes that do not match, values that are not finite, no variable, or draws
    too few for any direction to stand out from noise at SIGNAL_P.

    Simulated (tests/pipeline/geometry/test_entanglement.py; 600 statements in minimal pairs, 12 dimensions):
    right angles are found oblique at 5 % in 3 to 5 % of heads, also where the feature goes along with the
    label; a planted cosine of .3 is found in 68 % (96 % with 1,500 statements), one of .6 in all; the
    intervals cover 94 to 96 %.
    """
    n = len(activations)
    if 1 + draws < 1 / SIGNAL_P:
        raise ValueError(f"{draws} draws cannot tell a direction from noise at {SIGNAL_P}; at least 99 can")
    if not variables:
        raise ValueError("no feature other than toxicity to compare with")
    if (
        activations.ndim != 3
        or toxic.shape != (n,)
        or any(len(variable.codes) != n for variable in variables)
    ):
        raise ValueError(f"labels do not match activations {activations.shape}, which must be [n, heads, d]")
    step = max(1, _CELLS // (n * activations.shape[2]))
    cosines, largest = [], []
    for start in range(0, activations.shape[1], step):
        white = whiten(np.asarray(activations[:, start : start + step], dtype=np.float32), toxic, variables)
        inner = products(white, toxic, variables, clusters=clusters, draws=draws, seed=seed)
        angles = _angles(inner)
        cosines.append(_cosines(inner, angles, level))
        largest.append(_largest(angles, activations.shape[2], level))
    return _joined(cosines), _joined(largest)


class _Angles(NamedTuple):
    """Cosines observed [heads, features] and resampled, and under the null, [draws, ...]; unclipped."""

    observed: Floats
    resampled: Floats
    null: Floats


def _angles(inner: Products) -> _Angles:
    """Cosines from products; NaN where a head's or feature's direction is too noisy to have an angle."""
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.sqrt(inner.toxicity * inner.feature)
        cosine = np.where((inner.toxicity > 0) & (inner.feature > 0), inner.product / lengths, np.nan)
        usable = (
            (inner.toxicity[0] >= LEAST_RELIABILITY * inner.toxicity_length)
            & (inner.feature[0] >= LEAST_RELIABILITY * inner.feature_length)
            & (inner.toxicity_p <= SIGNAL_P)
            & (inner.feature_p <= SIGNAL_P)
        )
        null = np.where(usable, inner.null / lengths[0], np.nan)
    return _Angles(np.where(usable, cosine[0], np.nan), np.where(usable, cosine[1:], np.nan), null)


def _quantiles(draws: Floats, ends: Sequence[float]) -> Floats:
    """Quantiles over draws, NaN where there are none."""
    empty = np.isnan(draws).all(axis=0)
    quantiles = np.nanquantile(np.where(empty, 0.0, draws), ends, axis=0)
    return np.where(empty, np.nan, quantiles)


def _cosines(inner: Products, angles: _Angles, level: float) -> Cosines:
    """Cosines with interval, null and p, [heads, features]; `beyond`: null draws at least as large."""
    observed, resampled, null = angles
    tail = (1 - level) / 2
    low, high = np.clip(_quantiles(resampled, (tail, 1 - tail)), -1, 1)
    null_low, null_high = np.clip(_quantiles(null, (tail, 1 - tail)), -1, 1)
    with np.errstate(invalid="ignore"):
        beyond = (np.abs(null) >= np.abs(observed)).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        signal = np.nan_to_num(inner.feature[0] / inner.feature_length, nan=0.0)
        toxicity = np.nan_to_num(inner.toxicity[0] / inner.toxicity_length, nan=0.0)
    return Cosines(
        cosine=np.clip(observed, -1, 1),
        low=low,
        high=high,
        null_low=null_low,
        null_high=null_high,
        p=np.where(np.isnan(observed), np.nan, (1 + beyond) / (1 + len(null))),
        reliability=signal,
        toxicity_reliability=toxicity,
    )


def _largest(angles: _Angles, dimensions: int, level: float) -> Largest:
    """Of each head [heads], over its features; `used`: how many have a cosine; `spread`: standard error."""
    observed, resampled, null = angles
    usable = ~np.isnan(observed)
    used = usable.sum(axis=1)
    none = used == 0
    absolute = np.where(usable, np.abs(observed), -np.inf)
    value = np.where(none, np.nan, absolute.max(axis=1))
    spread = np.where(usable, np.nanstd(np.where(usable, resampled, 0.0), axis=0), 0.0)
    tail = (1 - level) / 2
    below = scipy.stats.norm.isf(tail / np.maximum(used, 1))[:, None] * spread
    above = scipy.stats.norm.isf(tail) * spread
    null_largest = np.where(usable, np.abs(null), -np.inf).max(axis=2)  # [draws, heads]
    null_largest = np.where(none, np.nan, null_largest)
    beyond = (null_largest >= value).sum(axis=0)
    return Largest(
        value=np.minimum(value, 1),
        low=np.where(none, np.nan, np.clip((absolute - below).max(axis=1), 0, 1)),
        high=np.where(none, np.nan, np.clip((absolute + above).max(axis=1), 0, 1)),
        feature=np.where(none, -1, absolute.argmax(axis=1)),
        null_mean=np.minimum(null_largest.mean(axis=0), 1),
        null_high=np.clip(_quantiles(null_largest, (0.95,))[0], 0, 1),
        p=np.where(none, np.nan, (1 + beyond) / (1 + len(null))),
        random_median=random_level(used, dimensions, 0.5),
        random_high=random_level(used, dimensions, 0.95),
        welch=np.array([welch_bound(int(m) + 1, dimensions) if m + 1 > dimensions else np.nan for m in used]),
        used=used,
    )


def random_level(features: NDArray[np.int64], dimensions: int, quantile: float) -> Floats:
    """Quantile of the largest |cosine| of a direction with `features` random ones; NaN for no feature.

    The squared cosine of two random directions in d dimensions is Beta(1/2, (d - 1)/2).
    """
    if dimensions < 2:
        return np.where(features > 0, 1.0, np.nan)
    level = quantile ** (1 / np.maximum(features, 1))
    return np.where(features > 0, np.sqrt(scipy.stats.beta.ppf(level, 0.5, (dimensions - 1) / 2)), np.nan)


_Result = TypeVar("_Result", Cosines, Largest)


def _joined(blocks: list[_Result]) -> _Result:
    field_names = [field.name for field in fields(blocks[0])]
    return type(blocks[0])(
        **{name: np.concatenate([getattr(block, name) for block in blocks]) for name in field_names}
    )
