"""From trained networks to measures: directions under each probe, and their entanglement by group.

Knows arrays. A network is `trained` (at the run's own share) or `frozen` (the same seed's network at r = 1,
only the probe is refitted on the run's mixture): what a frozen network shows, the probe made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hormesis.pipeline.toy.chains import FEATURES, RARE, mixture
from hormesis.pipeline.toy.config import REFERENCE, Probe, ToyConfig
from hormesis.pipeline.toy.geometry import entanglement
from hormesis.pipeline.toy.probes import class_means, logistic_directions, point_weights, stopped_directions
from hormesis.pipeline.toy.tasks import Run
from hormesis.pipeline.toy.training import TrainedModels

Floats = NDArray[np.float64]
Network = Literal["trained", "frozen"]


@dataclass(frozen=True, eq=False)
class Measure:
    """One run's 12 directions under one probe, and what they say of the rare chain and of the controls."""

    network: Network
    probe: Probe
    rare_absolute: float
    control_absolute: float
    rare_signed: float
    control_signed: float
    rare_norm: float
    control_norm: float
    vectors: NDArray[np.float32]
    """Not normalised, [12, width]."""


def measure(
    config: ToyConfig, runs: Sequence[Run], trained: TrainedModels, *, probes: Sequence[Probe]
) -> list[list[Measure]]:
    """All measures of each run, in the order of the runs.

    Runs whose seed has no run at r = 1 among them get no frozen measures. `places`, `networks`: indices of
    the run measured and of the run whose network is probed.
    """
    reference_of = {run.seed: place for place, run in enumerate(runs) if run.share == REFERENCE}
    frozen = [place for place, run in enumerate(runs) if run.seed in reference_of]
    measures: list[list[Measure]] = [[] for _ in runs]
    sources: list[tuple[Network, list[int], list[int]]] = [
        ("trained", list(range(len(runs))), list(range(len(runs)))),
        ("frozen", frozen, [reference_of[runs[place].seed] for place in frozen]),
    ]
    for network, places, networks in sources:
        for probe in probes:
            shares = [runs[place].share for place in places]
            vectors = directions(
                config, trained.activations[networks], trained.labels, shares=shares, probe=probe
            )
            for place, run_vectors in zip(places, vectors, strict=True):
                measures[place].append(_measure(network, probe, run_vectors))
    return measures


def directions(
    config: ToyConfig, points: Floats, labels: NDArray[np.int64], *, shares: Sequence[float], probe: Probe
) -> Floats:
    """Directions from `points` [models, n, d], features `labels` [n], of runs at `shares`: [models, 12, d].

    Only `mixture` and `stopped` look at the shares: their examples weigh what the training mixture gives.
    """
    if not shares:
        return np.empty((0, FEATURES, points.shape[-1]))
    if probe == "means":
        return class_means(points, labels, centre=config.centre)
    alike = np.full((len(shares), FEATURES), 1 / FEATURES)
    chances = alike if probe == "balanced" else np.stack([mixture(share) for share in shares])
    weights = point_weights(labels, chances, float(config.probe_examples))
    if probe == "stopped":
        return stopped_directions(points, labels, weights)
    return logistic_directions(points, labels, weights, l2=config.probe_l2)


def _measure(network: Network, probe: Probe, vectors: Floats) -> Measure:
    """Means over the rare chain and the controls of one run's `vectors` [12, d] under one probe."""
    values = {
        "absolute": entanglement(vectors, signed=False),
        "signed": entanglement(vectors, signed=True),
        "norm": np.linalg.norm(vectors, axis=-1),
    }
    means = {
        f"{group}_{name}": float(features[members].mean())
        for group, members in (("rare", RARE), ("control", ~RARE))
        for name, features in values.items()
    }
    return Measure(network, probe, **means, vectors=vectors.astype(np.float32))
