"""Statements sorted into cells of toxicity by another feature, and the contrasts of cell means taken from it.

Knows labels and counts only, nothing of activations. A variable (topic, register, ...) has values; each value
against all others is a feature. Effects are taken within strata, so that a feature which occurs more often in
toxic statements is not mistaken for one that is entangled with toxicity: toxicity's direction is the mean
difference within each value of the variable, a feature's direction the one within each class of toxicity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
FEWEST = 30
"""Statements a value needs to be a feature of its own; rarer ones are only part of the others."""


@dataclass(frozen=True, eq=False)
class Variable:
    """`codes` [n]: place in `values` of each statement's value, -1 where the variable does not apply."""

    name: str
    values: tuple[str, ...]
    codes: Codes

    @property
    def features(self) -> tuple[tuple[str, int], ...]:
        """Name and code of each feature: every value against the rest; of two values the second alone."""
        if len(self.values) == 2:
            return ((self._name(1), 1),)
        return tuple((self._name(code), code) for code in range(len(self.values)) if self._large(code))

    def _name(self, code: int) -> str:
        value = self.values[code]
        return value if value.startswith(self.name) else f"{self.name}: {value}"

    def _large(self, code: int) -> bool:
        return int((self.codes == code).sum()) >= FEWEST


def variable(variable_name: str, labels: Sequence[str | None]) -> Variable | None:
    """Make a variable of one label (None: does not apply) per statement [n]; None where it tells nothing
    apart.

    Values rarer than FEWEST become one value `other`, which is no feature unless it is large enough itself.
    """
    distinct, counts = np.unique([value for value in labels if value is not None], return_counts=True)
    common_values = [str(kind) for kind, count in zip(distinct, counts, strict=True) if count >= FEWEST]
    values = [*common_values, "other"] if len(common_values) < len(distinct) else common_values
    code_of = {value: code for code, value in enumerate(values)}
    other_code = code_of.get("other", -1)
    codes = np.array([-1 if v is None else code_of.get(v, other_code) for v in labels], dtype=np.int64)
    if len(common_values) < 1 or len(values) < 2:
        return None
    return Variable(variable_name, tuple(values), codes)


def cell_codes(variable: Variable, toxic: NDArray[np.bool_]) -> Codes:
    """Cell of each statement [n]: value for those not toxic, values + value for toxic ones, -1 for none."""
    return np.where(variable.codes < 0, -1, variable.codes + len(variable.values) * toxic)


def toxicity_contrast(counts: Floats) -> Floats:
    """Weights [..., 2, values] of the statements of a cell; their weighted sum is toxicity's direction.

    `counts` [..., 2, values] of statements, the second row toxic. Toxic minus non-toxic mean of each value,
    averaged with least squares' weights, n1 n0 / (n1 + n0) [..., values]. All zero where no value has both.
    """
    nontoxic, toxic = counts[..., 0, :], counts[..., 1, :]
    weight = np.where((nontoxic >= 2) & (toxic >= 2), nontoxic * toxic / np.maximum(nontoxic + toxic, 1), 0.0)
    total = weight.sum(axis=-1, keepdims=True)
    weight = weight / np.where(total > 0, total, 1.0)
    return np.stack([-weight / np.maximum(nontoxic, 1), weight / np.maximum(toxic, 1)], axis=-2)


def feature_contrast(counts: Floats, code: int) -> Floats:
    """As `toxicity_contrast`, for value `code` against all others within each class; `present` [..., 2]."""
    present = counts[..., code]
    absent = counts.sum(axis=-1) - present
    weight = np.where((present >= 2) & (absent >= 2), present * absent / np.maximum(present + absent, 1), 0.0)
    total = weight.sum(axis=-1, keepdims=True)
    weight = weight / np.where(total > 0, total, 1.0)
    contrast = np.repeat((-weight / np.maximum(absent, 1))[..., None], counts.shape[-1], axis=-1)
    contrast[..., code] = weight / np.maximum(present, 1)
    return contrast


@dataclass(frozen=True, eq=False)
class Clusters:
    """Statements that must stay together (twins of a minimal pair), and which clusters may trade places.

    `of` [n] names each statement's cluster; `pairs` [p, 2] are the statements that share one. `kinds` holds
    one array [clusters, size] per composition: members ordered by label, so that two clusters of a kind can
    exchange their members one for one without changing any label.
    """

    of: Codes
    pairs: Codes
    kinds: tuple[Codes, ...]

    @property
    def count(self) -> int:
        """Number of clusters."""
        return sum(len(kind) for kind in self.kinds)


def find_clusters(cluster_names: Sequence[object], toxic: NDArray[np.bool_]) -> Clusters:
    """Clusters of statements with equal names [n]; a cluster is an array of indices, non-toxic ones first."""
    _, cluster_of = np.unique(np.asarray(cluster_names), return_inverse=True)
    order = np.lexsort((np.arange(len(cluster_of)), toxic, cluster_of))
    starts = np.flatnonzero(np.diff(cluster_of[order], prepend=-1))
    clusters = np.split(order, starts[1:])
    by_labels: dict[tuple[bool, ...], list[Codes]] = {}
    pairs: list[tuple[int, int]] = []
    for cluster in clusters:
        by_labels.setdefault(tuple(toxic[cluster].tolist()), []).append(cluster)
        pairs += [
            (int(cluster[i]), int(cluster[j]))
            for i in range(len(cluster))
            for j in range(i + 1, len(cluster))
        ]
    kinds = tuple(np.array(by_labels[labels], dtype=np.int64) for labels in sorted(by_labels))
    return Clusters(cluster_of.astype(np.int64), np.array(pairs, dtype=np.int64).reshape(-1, 2), kinds)


def permuted(clusters: Clusters, rng: np.random.Generator) -> Codes:
    """Source of each place [n] after clusters of a kind have traded places at random."""
    source = np.empty(len(clusters.of), dtype=np.int64)
    for members in clusters.kinds:
        source[members] = members[rng.permutation(len(members))]
    return source


def resampled(clusters: Clusters, rng: np.random.Generator) -> Floats:
    """How often each statement [n] is drawn when the clusters of each kind are drawn with replacement."""
    times = np.empty(len(clusters.of))
    for members in clusters.kinds:
        counts = np.bincount(rng.integers(0, len(members), len(members)), minlength=len(members))
        times[members] = counts[:, None]
    return times


def signs(clusters: Clusters, draws: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Random signs [draws, n], the same for all statements of a cluster."""
    cluster_signs = rng.integers(0, 2, (draws, int(clusters.of.max()) + 1), dtype=np.int8) * 2 - 1
    return cluster_signs[:, clusters.of].astype(np.float32)
