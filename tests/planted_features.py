"""Activations of heads with a planted angle between toxicity and another feature, and their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.feature_cells import Clusters, Variable, find_clusters, variable

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class World:
    """One set of statements and what many independent heads make of them."""

    activations: NDArray[np.float32]
    """[n, heads, d]"""
    toxic: NDArray[np.bool_]
    variables: tuple[Variable, ...]
    clusters: Clusters


def planted_world(
    seed: int,
    cosine: float,
    *,
    n: int = 600,
    heads: int = 40,
    d: int = 12,
    size: float = 1.0,
    pairs: bool = True,
    association: float = 0.0,
    others: int = 0,
) -> World:
    """Statements whose toxicity and topic lie `cosine` apart in units of their own variation.

    `pairs`: statements come as minimal pairs (a toxic twin of each) that share half of their variance.
    `association`: by how much the topic is more likely in toxic statements and less in others. `others`:
    further features at right angles to toxicity. Every head has its own directions and its own covariance,
    whose variances differ about a hundredfold.
    """
    rng = np.random.default_rng([seed, int(1000 * cosine), n, d])
    toxic = np.arange(n) % 2 == 1
    topics = [_topic(rng, toxic, association)] + [_topic(rng, toxic, 0.0) for _ in range(others)]
    toxicity = unit(rng.standard_normal((heads, d)))
    ways = [turned(rng, toxicity, angle) for angle in (cosine, *[0.0] * others)]
    twin = rng.standard_normal((n // 2, heads, d)).repeat(2, axis=0)
    own = rng.standard_normal((n, heads, d))
    white = np.sqrt(0.5) * (twin + own) if pairs else own
    white = white + size * toxic[:, None, None] * toxicity
    for topic, way in zip(topics, ways, strict=True):
        white = white + size * topic[:, None, None] * way
    scale = np.exp(rng.standard_normal((heads, 1, d)))
    turn = np.linalg.qr(rng.standard_normal((heads, d, d)))[0]
    values = np.einsum("hij,nhj->nhi", turn * scale, white) + rng.standard_normal((heads, d))
    names = [f"pair {i // 2}" if pairs else f"statement {i}" for i in range(n)]
    variables = [
        variable(f"topic{place}", [("a", "b")[int(value)] for value in topic])
        for place, topic in enumerate(topics)
    ]
    assert all(variable is not None for variable in variables)
    return World(
        values.astype(np.float32),
        toxic,
        tuple(variable for variable in variables if variable is not None),
        find_clusters(names, toxic),
    )


def _topic(rng: np.random.Generator, toxic: NDArray[np.bool_], association: float) -> NDArray[np.bool_]:
    if association:
        return rng.random(len(toxic)) < np.where(toxic, 0.5 + association, 0.5 - association)
    return (rng.random(len(toxic) // 2) < 0.5).repeat(2)


def unit(vectors: Floats) -> Floats:
    """The same directions at length one."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def turned(rng: np.random.Generator, away_from: Floats, cosine: float) -> Floats:
    """Random unit vectors [heads, d] at this cosine from the given ones."""
    other = rng.standard_normal(away_from.shape)
    other -= (other * away_from).sum(axis=-1, keepdims=True) * away_from
    return cosine * away_from + np.sqrt(1 - cosine**2) * unit(other)
