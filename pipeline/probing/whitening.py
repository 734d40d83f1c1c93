"""Activations of heads in units of the variation that no label explains.

Knows arrays only. What labels explain is the least-squares fit of an additive model: toxicity and every value
of every variable. Where statements are few for the dimensions, the covariance of its residuals is shrunk
towards a multiple of the identity (Ledoit and Wolf 2004, by scikit-learn). Where they are many it is taken as
it is: then cosines do not depend on the scale of any dimension, which shrinking towards the identity breaks.
Simulated with variances that differ a hundredfold (12 dimensions, 600 statements), orthogonal directions pass
for oblique at 5 % in 14 % of cases with shrinking and in 3 % without; with 9 statements a dimension it is the
other way round, 6 % and 8 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from hormesis.pipeline.probing.feature_cells import Variable

Block = NDArray[np.float32]
MANY = 20
"""Statements to a dimension from which on the covariance is not shrunk."""


def whiten(
    activations: Block, toxic: NDArray[np.bool_], variables: Sequence[Variable]
) -> tuple[Block, Block]:
    """Whitened activations and whitened residuals, both [n, heads, d], the mean taken off. `toxic` [n].

    Residuals are what an additive model of toxicity and variables leaves. They have about the identity as
    covariance in every head; how far that differs from the truth can be told from them. Raises ValueError for
    values that are not finite.
    """
    if not np.isfinite(activations).all():
        raise ValueError("activations are not finite")
    n, heads, d = activations.shape
    flat = activations.reshape(n, heads * d)
    flat = flat - flat.mean(axis=0, dtype=np.float64).astype(np.float32)
    basis = _basis(toxic, variables)
    residual = (flat - basis @ (basis.T @ flat)).reshape(n, heads, d)
    white, white_rest = np.empty_like(activations), np.empty_like(activations)
    freedom = n / max(1, n - basis.shape[1])
    for head in range(heads):
        covariance = _covariance(residual[:, head].astype(np.float64)) * freedom
        # A head whose output never varies has no covariance; it stays zero.
        floor = max(float(np.trace(covariance)) / d * 1e-9, 1e-30)
        factor = np.linalg.cholesky(covariance + floor * np.eye(d))
        centred = flat.reshape(n, heads, d)[:, head].astype(np.float64)
        white[:, head] = solve_triangular(factor, centred.T, lower=True).T
        white_rest[:, head] = solve_triangular(factor, residual[:, head].T.astype(np.float64), lower=True).T
    return white, white_rest


def _covariance(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean outer product of residuals [n, d], shrunk where n is small."""
    from sklearn.covariance import ledoit_wolf

    n, d = residual.shape
    if n >= MANY * d:
        return np.asarray(residual.T @ residual / n)
    return np.asarray(ledoit_wolf(residual, assume_centered=True)[0])


def _basis(toxic: NDArray[np.bool_], variables: Sequence[Variable]) -> Block:
    """Orthonormal columns spanning the additive model, float32 [n, rank]."""
    columns = [np.ones(len(toxic)), toxic.astype(np.float64)]
    for variable in variables:
        columns += [(variable.codes == code).astype(np.float64) for code in range(len(variable.values))]
    left, spread, _ = np.linalg.svd(np.column_stack(columns), full_matrices=False)
    return left[:, spread > spread[0] * 1e-7].astype(np.float32)
