"""Inner products of toxicity's direction with those of other features, free of noise; observed, permuted and
resampled.

Knows whitened activations, cells and clusters; nothing of cosines. A direction is a weighted sum of
statements; the noise in the product of two is the sum over clusters of the product of their own residuals,
which is taken off (what remains is the sum over pairs of different clusters). The metric itself is estimated:
its error, to first order the mean over statements of their residuals' product along both directions, is part
of every null and resample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hormesis.pipeline.probing.feature_cells import (
    Clusters,
    Floats,
    Variable,
    cell_codes,
    feature_contrast,
    permuted,
    resampled,
    signs,
    toxicity_contrast,
)
from hormesis.pipeline.probing.whitening import Block


@dataclass(frozen=True, eq=False)
class Products:
    """Of all features; those of toxicity's direction are repeated for each feature of a variable."""

    product: Floats
    """<a, b> without noise: observed and resampled, [1 + draws, heads, features]."""
    toxicity: Floats
    """|a|^2 without noise, [1 + draws, heads, features]."""
    feature: Floats
    """|b|^2 without noise, [1 + draws, heads, features]."""
    null: Floats
    """<a, b> where the feature has nothing to do with toxicity, [draws, heads, features]."""
    toxicity_length: Floats
    """|a|^2 with its noise, and the chance of one as large by noise alone, [heads, features]."""
    feature_length: Floats
    toxicity_p: Floats
    feature_p: Floats


@dataclass(frozen=True, eq=False)
class _Part:
    """One variable: its cells, the contrasts (toxicity first) and what they give on the statements."""

    hot: Block  # [cells, n], 1 where a statement is in the cell
    codes: tuple[int, ...]  # of the features
    contrasts: Floats  # [1 + features, cells]
    effects: Block  # [1 + features, heads, d]
    noise: Floats  # [rows, heads] of aa, ab..., bb...
    statement_noise: Block  # [n, rows, heads], each statement's part of the noise
    pair_noise: Block  # [pairs, rows, heads], each pair's part
    metric: Block  # [n, rows, heads], each statement's part of the error of whitening
    weights: Block  # [n] of toxicity's contrast
    residual: Block  # [n, heads, d]


class _Null(NamedTuple):
    """Products of toxicity's noise with each feature, [draws, heads, features], and how often that noise is
    as long as toxicity's direction itself [heads]."""

    products: Floats
    longer: Floats


def products(
    whitened: tuple[Block, Block],
    toxic: NDArray[np.bool_],
    variables: Sequence[Variable],
    *,
    clusters: Clusters,
    draws: int,
    seed: int,
) -> Products:
    """All products for what `whiten` gives. Clusters are permuted and resampled whole.

    `hot`, `edges`: all variables' cells in one array [cells, n] and where it is split; `times` [draws, n]:
    how often a statement is drawn; lists are by variable, `longer` [heads, features].
    """
    rng = np.random.default_rng(seed)
    white, rest = whitened
    parts = [_part(white, rest, toxic, variable=variable, clusters=clusters) for variable in variables]
    hot = np.concatenate([part.hot for part in parts])
    edges = np.cumsum([len(part.hot) for part in parts])[:-1]
    flat_white = white.reshape(len(white), -1)
    null = [_toxicity_noise(part, signs(clusters, draws, rng)) for part in parts]
    longer = [np.zeros((white.shape[1], len(part.codes))) for part in parts]
    for draw in range(draws):
        permuted_white = flat_white[permuted(clusters, rng)]
        for place, (part, sums) in enumerate(zip(parts, np.split(hot @ permuted_white, edges), strict=True)):
            effects = _effects(part.contrasts, sums, white.shape[1:])[1:]
            null[place].products[draw] += np.einsum("hd,fhd->hf", part.effects[0], effects)
            longer[place] += _lengths(effects) >= _lengths(part.effects[1:])
    times = np.stack([resampled(clusters, rng) for _ in range(draws)]).astype(np.float32)
    noises = [_resampled_noise(part, times, clusters) for part in parts]
    noiseless = [[_without_noise(part.effects, part.noise)] for part in parts]
    for draw in range(draws):
        cell_sums = np.split((hot * times[draw]) @ flat_white, edges)
        for place, (part, sums) in enumerate(zip(parts, cell_sums, strict=True)):
            counts = part.hot @ times[draw]
            effects = _effects(_contrasts(counts.astype(np.float64), part.codes), sums, white.shape[1:])
            noiseless[place].append(_without_noise(effects, noises[place][draw]))
    return _gathered(parts, noiseless, null, longer=longer, draws=draws)


def _part(
    white: Block, rest: Block, toxic: NDArray[np.bool_], *, variable: Variable, clusters: Clusters
) -> _Part:
    """What one variable gives; a cell is a value and a class of toxicity; `rest`: the whitened residuals.

    `counts` is [cells], `sums` and `means` [cells, heads, d]; `spread` corrects `residual` for a cell's size.
    """
    cells = cell_codes(variable, toxic)
    size = 2 * len(variable.values)
    hot = (cells == np.arange(size)[:, None]).astype(np.float32)
    counts = hot.sum(axis=1, dtype=np.float64)
    sums = (hot @ white.reshape(len(white), -1)).reshape(size, *white.shape[1:])
    means = sums / np.maximum(counts, 1)[:, None, None]
    spread = np.sqrt(counts / np.maximum(counts - 1, 1)) * (counts > 1)
    applies = cells >= 0
    residual = np.where(
        applies[:, None, None], (white - means[cells]) * spread[cells][:, None, None], 0.0
    ).astype(np.float32)
    codes = tuple(code for _, code in variable.features)
    contrasts = _contrasts(counts, codes)
    effects = np.einsum("kc,chd->khd", contrasts, sums).astype(np.float32)
    weights = np.where(applies, contrasts[:, cells], 0.0)
    first, second = clusters.pairs[:, 0], clusters.pairs[:, 1]
    row_weights = _rows(weights, weights)
    pair_weights = _rows(weights[:, first], weights[:, second]) + _rows(weights[:, second], weights[:, first])
    square = np.einsum("nhd,nhd->nh", residual, residual)
    cross = np.einsum("nhd,nhd->nh", residual[first], residual[second])
    statement_noise = np.einsum("rn,nh->nrh", row_weights, square).astype(np.float32)
    pair_noise = np.einsum("rp,ph->prh", pair_weights, cross).astype(np.float32)
    noise = statement_noise.sum(axis=0, dtype=np.float64) + pair_noise.sum(axis=0, dtype=np.float64)
    first_weights = weights[0].astype(np.float32)
    metric = _metric(effects, rest)
    return _Part(
        hot=hot,
        codes=codes,
        contrasts=contrasts,
        effects=effects,
        noise=noise,
        statement_noise=statement_noise,
        pair_noise=pair_noise,
        metric=metric,
        weights=first_weights,
        residual=residual,
    )


def _metric(effects: NDArray[np.float32], rest: Block) -> Block:
    """Each statement's error in products of `effects` [1 + features, heads, d]: [n, rows, heads], mean 0."""
    along = np.einsum("nhd,khd->nkh", rest, effects)
    a, b = along[:, :1], along[:, 1:]
    pair_products = np.concatenate([a * a, a * b, b * b], axis=1)
    parts: Block = (pair_products.mean(axis=0) - pair_products) / len(rest)
    return parts


def _contrasts(counts: Floats, codes: Sequence[int]) -> Floats:
    """Toxicity's contrast and one per feature, [1 + features, cells], for counts [cells]."""
    table = counts.reshape(2, -1)
    contrasts = [toxicity_contrast(table), *(feature_contrast(table, code) for code in codes)]
    return np.stack([contrast.ravel() for contrast in contrasts])


def _rows(left: Floats, right: Floats) -> Floats:
    """Weights of the noise in aa, then ab and bb of each feature: [1 + 2 features, n]."""
    return np.concatenate([left[:1] * right[:1], left[:1] * right[1:], left[1:] * right[1:]])


def _effects(contrasts: Floats, sums: Block, shape: tuple[int, ...]) -> Block:
    """Directions [1 + features, heads, d] from sums over cells [cells, heads * d]."""
    return np.asarray(contrasts.astype(np.float32) @ sums).reshape(-1, *shape)


def _lengths(effects: Block) -> Floats:
    """Squared lengths of [features, heads, d], as [heads, features]."""
    return np.asarray(np.einsum("fhd,fhd->hf", effects, effects), dtype=np.float64)


def _without_noise(effects: Block, noise: Floats) -> Floats:
    """aa, ab..., bb... of effects [1 + features, heads, d] less their noise, [rows, heads]."""
    a, b = effects[0], effects[1:]
    aa = np.einsum("hd,hd->h", a, a)[None]
    inner_products = np.concatenate([aa, np.einsum("hd,fhd->fh", a, b), np.einsum("fhd,fhd->fh", b, b)])
    return inner_products - noise


def _resampled_noise(part: _Part, times: Block, clusters: Clusters) -> Floats:
    """Noise, and the turn of the metric, when statement i counts times[draw, i]: [draws, rows, heads].

    A cluster drawn m times gives m squared its own noise.
    """
    square = times**2
    noise = np.tensordot(square, part.statement_noise, 1) - np.tensordot(times - 1, part.metric, 1)
    if len(part.pair_noise):
        noise = noise + np.tensordot(square[:, clusters.pairs[:, 0]], part.pair_noise, 1)
    return np.asarray(noise, dtype=np.float64)


def _toxicity_noise(part: _Part, signed: Block) -> _Null:
    """Toxicity's noise (its residuals times `signed` [draws, n]) and the metric's, against each feature."""
    draws, shape = len(signed), part.residual.shape
    noise = ((signed * part.weights) @ part.residual.reshape(shape[0], -1)).reshape(draws, *shape[1:])
    noise_products = np.einsum("khd,fhd->khf", noise, part.effects[1:]).astype(np.float64)
    features = len(part.codes)
    noise_products += np.tensordot(signed, part.metric[:, 1 : 1 + features], 1).transpose(0, 2, 1)
    longer = np.einsum("khd,khd->kh", noise, noise) >= np.einsum("hd,hd->h", part.effects[0], part.effects[0])
    return _Null(noise_products, longer.sum(axis=0).astype(np.float64))


def _gathered(
    parts: list[_Part],
    noiseless: list[list[Floats]],
    null: list[_Null],
    *,
    longer: list[Floats],
    draws: int,
) -> Products:
    """The variables' results (lists have an entry each) joined along the features; counts are of draws."""
    pieces: dict[str, list[Floats]] = {name: [] for name in Products.__dataclass_fields__}
    for part, rows, (null_product, toxicity_count), count in zip(parts, noiseless, null, longer, strict=True):
        features = len(part.codes)
        values = np.stack(rows).transpose(0, 2, 1)  # [1 + draws, heads, rows]
        product = values[..., 1 : 1 + features]
        pieces["product"].append(product)
        pieces["toxicity"].append(np.broadcast_to(values[..., :1], product.shape))
        pieces["feature"].append(values[..., 1 + features :])
        pieces["null"].append(null_product)
        length = np.einsum("hd,hd->h", part.effects[0], part.effects[0]).astype(np.float64)
        pieces["toxicity_length"].append(np.broadcast_to(length[:, None], count.shape))
        pieces["feature_length"].append(_lengths(part.effects[1:]))
        chance = ((1 + toxicity_count) / (1 + draws))[:, None]
        pieces["toxicity_p"].append(np.broadcast_to(chance, count.shape))
        pieces["feature_p"].append((1 + count) / (1 + draws))
    return Products(**{name: np.concatenate(blocks, axis=-1) for name, blocks in pieces.items()})
