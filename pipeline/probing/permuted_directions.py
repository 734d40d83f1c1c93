"""The whole way from statements to steered heads once more: by permuted labels, or by statements drawn anew.

Knows activations of heads as arrays; nothing of models or the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hormesis.db.contract.methods import NULL_STEMS, RESAMPLED, DirectionKind
from hormesis.pipeline.probing.probe_directions import Activations, Direction, layers_of
from hormesis.pipeline.probing.probes import ProbeRun, probe_heads, select_heads
from hormesis.pipeline.study.config_sections import ProbeConfig
from hormesis.pipeline.text.probe_splits import SELECT, TRAIN, Codes


def permuted_labels(labels: NDArray[np.bool_], codes: Codes, control: int) -> NDArray[np.bool_]:
    """Labels [n] with those of train in another order, and those of select; those of test as they are.

    The same order in every checkpoint: it depends on `control` and the statements alone.
    """
    permuted, rng = labels.copy(), np.random.default_rng([0, control])
    for code in (TRAIN, SELECT):
        permuted[codes == code] = rng.permutation(permuted[codes == code])
    return permuted


def permuted_directions(
    activations: Activations,
    labels: ArrayLike,
    codes: Codes,
    *,
    settings: ProbeConfig,
    n_heads: int,
    count: int,
    method: DirectionKind = "mass_mean",
    permute: Callable[[NDArray[np.bool_], Codes, int], NDArray[np.bool_]] = permuted_labels,
) -> Iterator[list[Direction]]:
    """`count` sets of directions as `probe_heads` finds them by permuted labels, each of the `n_heads` heads
    that the permuted labels of select choose, best first.

    `activations`, `labels` [n] and `codes` [n] as for `probe_heads`, whose errors it raises; sigma is the
    spread of the train activations along each direction. `method`: how the study finds its own.
    """
    truth = np.asarray(labels).astype(bool)
    # Nothing is reported of these probes, so that nothing is resampled.
    settings = settings.model_copy(update={"bootstrap": 1})
    for control in range(count):
        run = probe_heads(activations, permute(truth, codes, control), codes, settings=settings)
        yield _chosen(run, n_heads, method, name=f"{NULL_STEMS['permuted']}-{control}")


def _chosen(run: ProbeRun, n_heads: int, method: DirectionKind, *, name: str) -> list[Direction]:
    """The directions of the heads that a run chooses, best first, under a name of their own."""
    heads = run.directions(method, select_heads(run.results, n_heads))
    return [replace(direction, method=name) for direction in heads]


def resampled_places(labels: NDArray[np.bool_], codes: Codes, replicate: int) -> NDArray[np.intp]:
    """Places [n] of statements: those of train and of select drawn with replacement within split and label,
    those of test as they are.

    The same draw in every checkpoint: it depends on `replicate` and the statements alone.
    """
    places, rng = np.arange(len(labels)), np.random.default_rng([1, replicate])
    for code in (TRAIN, SELECT):
        for label in (True, False):
            among = np.flatnonzero((codes == code) & (labels == label))
            places[among] = rng.choice(among, len(among))
    return places


def resampled_directions(
    activations: Activations,
    labels: ArrayLike,
    codes: Codes,
    *,
    settings: ProbeConfig,
    n_heads: int,
    count: int,
    method: DirectionKind = "mass_mean",
    places: Callable[[NDArray[np.bool_], Codes, int], NDArray[np.intp]] = resampled_places,
) -> Iterator[list[Direction]]:
    """`count` sets of directions as `permuted_directions` gives them, by the true labels of `places`: a
    bootstrap of the estimate of the direction, its heads included (Efron and Tibshirani 1993, chapter 6).
    """
    truth = np.asarray(labels).astype(bool)
    settings = settings.model_copy(update={"bootstrap": 1})
    for replicate in range(count):
        at = places(truth, codes, replicate)
        anew = {layer: np.asarray(block)[at] for layer, block in layers_of(activations)}
        run = probe_heads(anew, truth[at], codes, settings=settings)
        yield _chosen(run, n_heads, method, name=f"{NULL_STEMS[RESAMPLED]}-{replicate}")
