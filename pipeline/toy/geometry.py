"""Angles between feature directions: entanglement, its bound, and what random directions give.

Knows vectors only. Entanglement after Li et al. 2025 (arXiv 2505.04741, section 2); the bound after Welch
1974, "Lower bounds on the maximum cross correlation of signals".
"""

from __future__ import annotations

import math

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def entanglement(vectors: NDArray[np.floating], *, signed: bool) -> Floats:
    """Largest cosine of each vector with any other: [..., n, d] to [..., n].

    Absolute cosines (the paper's definition), or with `signed` the cosines themselves, for which an antipodal
    pair counts as far apart. A vector of length zero has cosine 0 with all. Raises ValueError for n < 2.
    """
    if vectors.shape[-2] < 2:
        raise ValueError("entanglement needs at least two vectors")
    exact = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(exact, axis=-1, keepdims=True)
    unit = exact / np.where(lengths > 0, lengths, 1.0)
    cosines = np.clip(unit @ np.swapaxes(unit, -1, -2), -1.0, 1.0)
    if not signed:
        cosines = np.abs(cosines)
    n = cosines.shape[-1]
    cosines[..., np.arange(n), np.arange(n)] = -np.inf
    return np.asarray(cosines.max(axis=-1))


def welch_bound(features: int, dimensions: int) -> float:
    """Least possible value of the largest |cos| among unit vectors; 0 where they can be orthogonal."""
    if features <= dimensions:
        return 0.0
    return math.sqrt((features - dimensions) / ((features - 1) * dimensions))


def random_null(features: int, dimensions: int, *, signed: bool) -> float:
    """Expected entanglement of independent random directions.

    The squared cosine of two random directions in d dimensions is Beta(1/2, (d-1)/2); the cosines of one
    direction with the n-1 others are independent, so E[max] is an integral over their distribution
    function's power. Exact up to quadrature. Raises ValueError for fewer than 2 features or dimensions.
    """
    if features < 2 or dimensions < 2:
        raise ValueError("the random null needs at least 2 features and 2 dimensions")

    def below(cosine: float) -> float:
        """P(|cos| <= cosine)."""
        return float(scipy.special.betainc(0.5, (dimensions - 1) / 2, cosine**2))

    n_others = features - 1
    if not signed:
        tail, _ = scipy.integrate.quad(lambda c: 1 - below(c) ** n_others, 0, 1)
        return float(tail)
    # E[max] = int over [0,1] of (1 - F^n) minus int over [-1,0] of F^n, with F = (1 +- below) / 2.
    upper, _ = scipy.integrate.quad(lambda c: 1 - ((1 + below(c)) / 2) ** n_others, 0, 1)
    lower, _ = scipy.integrate.quad(lambda c: ((1 - below(c)) / 2) ** n_others, 0, 1)
    return float(upper - lower)
