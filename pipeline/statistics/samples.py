"""Samples of rows that keep the shares of their strata, the same each time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def sample_rows(
    n: int, most: int, strata: Sequence[object] | None = None, *, seed: int = 0
) -> NDArray[np.int64]:
    """Indices of at most `most` of n rows, ascending; a stratum keeps its share and, with room, one row.

    Raises ValueError where `strata` are not n.
    """
    if n <= most:
        return np.arange(n)
    rng = np.random.default_rng(seed)
    stratum_names = np.array([repr(stratum) for stratum in strata]) if strata is not None else np.zeros(n)
    if len(stratum_names) != n:
        raise ValueError(f"{len(stratum_names)} strata for {n} rows")
    distinct_names, stratum_places, sizes = np.unique(stratum_names, return_inverse=True, return_counts=True)
    exact_quotas = sizes * (most / n)
    quotas = np.floor(exact_quotas).astype(int)
    if len(distinct_names) <= most:
        quotas = np.maximum(quotas, 1)
    while quotas.sum() > most:
        quotas[np.argmax(quotas - exact_quotas)] -= 1
    while quotas.sum() < most:
        shortfall = np.where(quotas < sizes, exact_quotas - quotas, -np.inf)
        quotas[np.argmax(shortfall)] += 1
    samples = [
        rng.choice(np.flatnonzero(stratum_places == place), size=count, replace=False)
        for place, count in enumerate(quotas)
    ]
    return np.sort(np.concatenate(samples)).astype(np.int64)
