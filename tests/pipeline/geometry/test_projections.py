"""Maps: repeatable, honest about small inputs and samples."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from hormesis.pipeline.geometry.projections import ProjectionError, project, quality
from hormesis.pipeline.study.config_sections import ProjectionConfig


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 6, (3, 10))
    return (centres[np.arange(150) % 3] + rng.normal(0, 1, (150, 10))).astype(np.float32)


def test_pca_equals_sklearn_up_to_sign(blobs):
    projection = project(blobs, "pca", 3, settings=ProjectionConfig())
    reference = PCA(3).fit(blobs)
    assert np.abs(projection.coordinates) == pytest.approx(np.abs(reference.transform(blobs)), abs=1e-3)
    assert projection.parameters["explained"] == pytest.approx(reference.explained_variance_ratio_, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_umap_is_repeatable_and_keeps_clusters_apart(blobs, metric):
    first = project(blobs, "umap", 2, settings=ProjectionConfig(), metric=metric)
    again = project(blobs, "umap", 2, settings=ProjectionConfig(), metric=metric)
    assert np.array_equal(first.coordinates, again.coordinates)
    kinds = np.arange(150) % 3
    centres = np.stack([first.coordinates[kinds == kind].mean(axis=0) for kind in range(3)])
    nearest = np.linalg.norm(first.coordinates[:, None] - centres[None], axis=2).argmin(axis=1)
    assert (nearest == kinds).mean() > 0.98
    assert first.parameters["neighbours"] == 15 and first.parameters["metric"] == metric


def test_what_umap_compiles_slowest_is_kept_for_later_processes(blobs):
    project(blobs[:20], "umap", 2, settings=ProjectionConfig())
    import umap

    slowest = (
        umap.umap_.smooth_knn_dist,
        umap.umap_.compute_membership_strengths,
        umap.layouts._nb_optimize_layout_euclidean_single_epoch,
    )
    assert all(function.stats.cache_path for function in slowest)


def test_opposite_directions_are_far_apart():
    rng = np.random.default_rng(1)
    towards = rng.normal(0, 0.1, (30, 8)) + np.eye(8)[0]
    values = np.concatenate([towards, -towards])
    coordinates = project(values, "umap", 2, settings=ProjectionConfig(), metric="cosine").coordinates
    within = np.linalg.norm(coordinates[:30] - coordinates[:30].mean(axis=0), axis=1).max()
    assert np.linalg.norm(coordinates[:30].mean(axis=0) - coordinates[30:].mean(axis=0)) > within


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 16])
def test_few_points(n, dimensions):
    values = np.random.default_rng(n).normal(size=(n, 6))
    projection = project(values, "umap", dimensions, settings=ProjectionConfig())
    assert projection.coordinates.shape == (n, dimensions) and np.isfinite(projection.coordinates).all()
    assert projection.method == ("pca" if n < 4 else "umap")
    assert ("note" in projection.parameters) == (n < 4)


def test_equal_points_and_thin_arrays_are_mapped():
    assert np.isfinite(project(np.ones((30, 4)), "umap", 2, settings=ProjectionConfig()).coordinates).all()
    line = project(np.arange(5.0)[:, None], "pca", 3, settings=ProjectionConfig())
    assert line.coordinates.shape == (5, 3) and not line.coordinates[:, 1:].any()


def test_a_sampled_map_says_so():
    projection = project(
        np.random.default_rng(0).normal(size=(200, 4)), "pca", 2, settings=ProjectionConfig(max_points=50)
    )
    assert (
        projection.parameters["of"] == 200 and projection.parameters["sampled"] == len(projection.rows) == 50
    )


@pytest.mark.parametrize("values", [np.zeros((0, 3)), np.zeros(3), np.full((5, 2), np.nan)])
def test_useless_values_are_refused(values):
    with pytest.raises(ProjectionError):
        project(values, "pca", 2, settings=ProjectionConfig())


def test_quality_is_sklearns_and_counts_kept_neighbours(blobs):
    projection = project(blobs, "pca", 2, settings=ProjectionConfig())
    expected = trustworthiness(blobs.astype(float), projection.coordinates, n_neighbors=10)
    assert projection.trustworthiness == pytest.approx(expected, abs=1e-6)
    nearest = [
        np.argsort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)[:, 1:11]
        for points in (blobs, projection.coordinates)
    ]
    shares = [len(set(row) & set(mapped)) / 10 for row, mapped in zip(*nearest, strict=True)]
    assert projection.overlap == pytest.approx(np.mean(shares), abs=1e-3)


def test_a_map_without_loss_is_perfect_and_one_of_two_points_has_no_quality():
    flat = np.random.default_rng(0).normal(size=(40, 2))
    assert quality(flat, flat, "euclidean") == (1.0, 1.0)
    shuffled = np.random.default_rng(1).permutation(flat)
    value, overlap = quality(flat, shuffled, "euclidean")
    assert value < 0.7 and overlap < 0.5
    assert quality(flat[:2], flat[:2], "euclidean") == (None, None)


LOOKED_TOO_SOON = """
import torch, threadpoolctl
controller = threadpoolctl.ThreadpoolController()
import sklearn.utils.parallel
sklearn.utils.parallel._threadpool_controller = controller
import numpy as np
from hormesis.pipeline.geometry.projections import quality
points = np.random.default_rng(0).normal(size=(2000, 64))
quality(points, points[:, :2].copy(), "euclidean")
"""
"""scipy's OpenBLAS comes after sklearn has looked for what it is to limit."""


@pytest.mark.slow
def test_openblas_has_no_threads_inside_openmps() -> None:
    threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", LOOKED_TOO_SOON],
        capture_output=True,
        text=True,
        env=os.environ | threads,
        check=True,
    )
    assert done.stderr == ""
