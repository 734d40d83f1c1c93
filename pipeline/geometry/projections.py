"""Two- and three-dimensional maps of arrays by UMAP and PCA, with the parameters that made them.

Numbers in, coordinates out: knows nothing of what a row is. Computed once by the study and stored, because
UMAP with a fixed seed runs on one thread and takes seconds. McInnes et al. 2018 (UMAP).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController, threadpool_limits

from hormesis.pipeline.statistics.samples import sample_rows
from hormesis.pipeline.study.config_sections import ProjectionConfig

Method = Literal["umap", "pca"]
Metric = Literal["euclidean", "cosine"]
RATED_NEIGHBOURS = 10
MOST_RATED = 500
"""Points that the quality of a map is measured on: it takes all distances between them."""
SMALLEST_UMAP = 4
"""UMAP needs a graph of neighbours; with fewer points the map is a PCA and the parameters say so."""


class ProjectionError(ValueError):
    """An array that cannot be mapped; the message is one line."""


@dataclass(frozen=True, eq=False)
class Projected:
    """`coordinates` float32 [m, dimensions] of the rows `rows` int64 [m] (all, or a sample, ascending)."""

    coordinates: NDArray[np.float32]
    rows: NDArray[np.int64]
    method: Method
    """What was done: `pca` where UMAP was asked for and there were too few points."""
    parameters: dict[str, Any]
    trustworthiness: float | None
    """Of the coordinates against the rows, see `quality`; None for too few points."""
    overlap: float | None


def project(
    values: NDArray[np.floating],
    method: Method,
    dimensions: Literal[2, 3],
    *,
    settings: ProjectionConfig,
    metric: Metric = "euclidean",
    strata: Sequence[object] | None = None,
) -> Projected:
    """Map the rows of `values` [n, d] to 2 or 3 dimensions.

    `cosine` is meant for directions (rows of length 1, whose sign matters): UMAP then uses that metric and
    PCA works on rows scaled to length 1. Above `settings.max_points` a sample stratified by `strata` [n] is
    mapped. Raises ProjectionError for no rows, or values that are not finite.
    """
    if values.ndim != 2 or 0 in values.shape:
        raise ProjectionError(f"needs rows to project, [n, d], not {values.shape}")
    rows = sample_rows(len(values), settings.max_points, strata, seed=settings.seed)
    points = np.asarray(values[rows], dtype=np.float64)
    if not np.isfinite(points).all():
        raise ProjectionError("cannot project values that are not finite")
    parameters: dict[str, Any] = {
        "metric": metric,
        "seed": settings.seed,
        "of": len(values),
        "sampled": len(rows),
    }
    if method == "umap" and len(rows) >= SMALLEST_UMAP:
        coordinates = _umap(points, dimensions, settings, metric=metric, parameters=parameters)
    else:
        if method == "umap":
            parameters["note"] = f"PCA instead of UMAP: {len(rows)} points are fewer than {SMALLEST_UMAP}"
        method = "pca"
        coordinates = _pca(points, dimensions, metric, parameters=parameters)
    trustworthiness, overlap = quality(points, coordinates, metric)
    return Projected(
        coordinates.astype(np.float32),
        rows,
        method,
        parameters,
        trustworthiness=trustworthiness,
        overlap=overlap,
    )


def quality(
    points: NDArray[np.float64], coordinates: NDArray[np.float64], metric: Metric
) -> tuple[float | None, float | None]:
    """Trustworthiness of a map of `points` [n, d], and the share of their neighbours that it keeps.

    Ten nearest neighbours, or as many as sklearn's trustworthiness allows; (None, None) where that is none.
    Above `MOST_RATED` points a sample of them is rated, as if it had been mapped alone.
    """
    from sklearn.manifold import trustworthiness

    rated = sample_rows(len(points), MOST_RATED)
    count = min(RATED_NEIGHBOURS, (len(rated) - 1) // 2)
    if count < 1:
        return None, None
    points, coordinates = points[rated], coordinates[rated]
    # sklearn limits the libraries that were there when it first looked; scipy's may have come since.
    with threadpool_limits(1, "blas"):
        value = trustworthiness(points, coordinates, n_neighbors=count, metric=metric)
        of_points, _ = _neighbours(points, count + 1, metric)
        on_map, _ = _neighbours(coordinates, count + 1, "euclidean")
    shares = [
        len((set(row) - {place}) & (set(mapped) - {place})) / count
        for place, (row, mapped) in enumerate(zip(of_points.tolist(), on_map.tolist(), strict=True))
    ]
    return float(value), float(np.mean(shares))


def _pca(
    points: NDArray[np.float64], dimensions: int, metric: Metric, *, parameters: dict[str, Any]
) -> NDArray[np.float64]:
    """Principal components, each axis with its largest loading positive, missing ones 0; adds `explained`."""
    if metric == "cosine":
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        points = points / np.where(lengths > 0, lengths, 1.0)
    centred = points - points.mean(axis=0)
    _, singular_values, axes = np.linalg.svd(centred, full_matrices=False)
    components = axes[:dimensions]
    components = (
        components
        * np.sign(components[np.arange(len(components)), np.abs(components).argmax(axis=1)])[:, None]
    )
    coordinates = np.zeros((len(points), dimensions))
    coordinates[:, : len(components)] = centred @ components.T
    total = float((singular_values**2).sum())
    parameters["explained"] = [
        float(value**2) / total if total > 0 else 0.0 for value in singular_values[:dimensions]
    ]
    return coordinates


def _umap(
    points: NDArray[np.float64],
    dimensions: int,
    settings: ProjectionConfig,
    *,
    metric: Metric,
    parameters: dict[str, Any],
) -> NDArray[np.float64]:
    """UMAP's coordinates [n, dimensions] of `points` [n, d]; its options are added to `parameters`."""
    neighbours = min(settings.neighbours, len(points) - 1)
    # The spectral start needs a few points more than dimensions.
    initialisation = "spectral" if len(points) > dimensions + 1 + SMALLEST_UMAP else "random"
    parameters |= {
        "neighbours": neighbours,
        "min_dist": settings.min_dist,
        "init": initialisation,
        "umap": importlib.metadata.version("umap-learn"),
    }
    import sklearn.neighbors  # noqa: F401  (its libraries are limited too)

    # numba gives OpenMP a thread per core for good, and on a busy machine they wait for each other forty
    # times as long as they compute: torch gets its own number back, and neighbours are found before numba is
    # there.
    pools = ThreadpoolController()
    with pools.limit(limits=1, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pools.limit(limits=1, user_api="blas"):
            nearest = _neighbours(points, neighbours, metric)
        reducer = _load_umap().UMAP(
            n_components=dimensions,
            n_neighbors=neighbours,
            min_dist=settings.min_dist,
            metric=metric,
            init=initialisation,
            random_state=settings.seed,
            n_jobs=1,
            precomputed_knn=(*nearest, None),
            # Only lets the exact neighbours above be used for few points too; nothing is approximated.
            force_approximation_algorithm=True,
        )
        return np.asarray(reducer.fit_transform(points.astype(np.float32)), dtype=np.float64)


def _neighbours(
    points: NDArray[np.float64], count: int, metric: Metric
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Exact nearest neighbours, the point itself first: indices and distances, [n, count].

    Computed here because umap would compile its own search for 8 s in every process. Callers limit the
    BLAS: to look for the libraries that have threads takes longer than a small search.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=count, metric=metric, algorithm="brute").fit(points)
    distances, indices = search.kneighbors(points)
    return indices.astype(np.int64), distances.astype(np.float32)


def _load_umap() -> Any:
    """Import umap when first needed: the first process on a machine compiles for about 20 s.

    umap does not keep all that it compiles; numba is asked to keep the three slowest as well, beside
    the package or in NUMBA_CACHE_DIR, so later processes start in a few seconds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap

        for module, name in (
            (umap.umap_, "smooth_knn_dist"),
            (umap.umap_, "compute_membership_strengths"),
            (umap.layouts, "_nb_optimize_layout_euclidean_single_epoch"),
        ):
            function: Any = getattr(module, name, None)
            # RuntimeError: nowhere to write, so this process compiles for itself.
            with contextlib.suppress(AttributeError, RuntimeError):
                function.enable_caching()
        return umap
