"""Directions of heads that point to toxicity, the spread of activations along them, and null directions.

Knows activations of a head as an array; nothing of models or the database. After Li et al. 2023
(Inference-Time Intervention): the direction is the difference of class means or the probe's weight, and
sigma is the standard deviation of the training activations along it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hormesis.db.contract.methods import NULL_STEMS
from hormesis.pipeline.text.probe_splits import TRAIN, Codes, ProbeError

Floats = NDArray[np.float64]
Activations = NDArray[np.floating] | Mapping[int, NDArray[np.floating]]
"""[n, layers, heads, d], in memory or memory-mapped, of any float type; or layer to [n, heads, d], where
layers may differ in heads and d, and those without attention are absent."""


@dataclass(frozen=True, eq=False)
class Direction:
    """`vector` float32 [d] of length 1 pointing to toxicity; `sigma` in units of the activations."""

    layer: int
    head: int
    method: str
    vector: NDArray[np.float32]
    sigma: float


def layers_of(activations: Activations) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """Layer and its array [n, heads, d]; memory maps stay unread. Raises ProbeError for other shapes."""
    if isinstance(activations, np.ndarray):
        if activations.ndim != 4:
            raise ProbeError(f"activations must be [examples, layers, heads, d], not {activations.shape}")
        activations = {layer: activations[:, layer] for layer in range(activations.shape[1])}
    for layer, block in activations.items():
        if block.ndim != 3:
            raise ProbeError(f"layer {layer}: activations must be [examples, heads, d], not {block.shape}")
        yield layer, block


def unit(vectors: Floats) -> Floats:
    """Rows scaled to length 1, [..., d]; a row of zeros stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0))


def mass_mean(train: NDArray[np.floating], labels: NDArray[np.bool_]) -> Floats:
    """Unit vectors of mean(toxic) - mean(non-toxic): train [heads, n, d] to [heads, d]."""
    difference = train[:, labels].mean(axis=1, dtype=np.float64)
    return unit(difference - train[:, ~labels].mean(axis=1, dtype=np.float64))


def sigma_along(train: NDArray[np.floating], vectors: Floats) -> Floats:
    """Standard deviation of train [heads, n, d] along one vector per head [heads, d]: [heads]."""
    return np.asarray(
        np.matmul(train, vectors[:, :, None].astype(train.dtype))[:, :, 0].std(axis=1, dtype=np.float64)
    )


def random_vector(dimension: int, seed: int, control: int, *, layer: int, head: int) -> Floats:
    """Uniform on the sphere; depends on these numbers alone, not on which other heads are selected."""
    return unit(np.random.default_rng([seed, control, layer, head]).standard_normal(dimension))


def covariance_vector(train: NDArray[np.floating], rng: np.random.Generator) -> Floats:
    """A draw [d] from the normal of mean 0 with the covariance of `train` [n, d], of any rank; not scaled."""
    centred = np.asarray(train, dtype=np.float64) - train.mean(axis=0, dtype=np.float64)
    return np.asarray(rng.standard_normal(len(train)) @ centred / np.sqrt(len(train) - 1))


def random_directions(
    activations: Activations,
    codes: Codes,
    heads: Sequence[tuple[int, int]],
    *,
    count: int,
    seed: int,
    kind: Literal["isotropic", "covariance"] = "isotropic",
) -> list[list[Direction]]:
    """`count` controls, each one random unit vector for every (layer, head), in the order of `heads`.

    Uniform on the sphere, or drawn with the covariance of the head's train activations, toxic and other
    together, and scaled to length 1. `activations` as above, `codes` [n] places in SPLITS. Sigma is
    measured on the train split along the random vector, so a control at the same strength moves the same
    heads by as many standard deviations. Raises ProbeError for a head that does not exist.
    """
    directions: dict[tuple[int, int], list[Direction]] = {}
    for layer, block in layers_of(activations):
        for head in sorted(
            index for of_layer, index in set(heads) if of_layer == layer and 0 <= index < block.shape[1]
        ):
            train_values = np.asarray(block[:, head][codes == TRAIN], dtype=np.float32)[None]
            directions[layer, head] = []
            for control in range(count):
                if kind == "covariance":
                    # A number more than isotropic ones have, so that the two share no draw.
                    rng = np.random.default_rng([seed, control, layer, head, 1])
                    vector = unit(covariance_vector(train_values[0], rng))
                else:
                    vector = random_vector(train_values.shape[2], seed, control, layer=layer, head=head)
                sigma = float(sigma_along(train_values, vector[None])[0])
                directions[layer, head].append(
                    Direction(layer, head, f"{NULL_STEMS[kind]}-{control}", vector.astype(np.float32), sigma)
                )
    missing = set(heads) - set(directions)
    if missing:
        layer, head = min(missing)
        raise ProbeError(f"no head {head} in layer {layer}")
    return [[directions[layer_and_head][control] for layer_and_head in heads] for control in range(count)]
