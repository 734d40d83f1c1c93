"""Vectors of a caller's own on top of a method's steering: shifts of heads and of the residual stream.

Nothing is negated, normalised or scaled by a sigma: what is passed is what is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hormesis.backend.model.residual import stream_width
from hormesis.backend.model.steering import Intervention, RowSteering, SteeringError
from hormesis.db.contract.methods import Scope

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel

Shifts = Mapping[tuple[int, int], NDArray[np.float32]]
"""(layer, head) -> float32 `(head_dim,)`."""
Streams = Mapping[int, NDArray[np.float32]]
"""layer -> float32 `(hidden_size,)`."""


def with_vectors(
    loaded: LoadedModel, row: RowSteering, scope: Scope, *, heads: Shifts, residual: Streams
) -> RowSteering:
    """A row's steering with vectors added, as one intervention of strength 1 in the given scope.

    heads: added to heads' outputs before the output projection; residual: added to what decoder layers give
    on. Raises SteeringError where a place does not exist or a vector has another width than the model needs.
    """
    intervention, strength = row
    steered = intervention.shifts if intervention is not None else {}
    shifts = {layer: np.float32(strength) * shift for layer, shift in steered.items()}
    for (layer, head), vector in heads.items():
        site = loaded.site(layer)
        if site is None or not 0 <= head < site.n_heads:
            raise SteeringError(f"the model has no head {head} in layer {layer}")
        _check_width(f"head {head} of layer {layer}", vector, site.head_dim)
        shift = shifts.setdefault(layer, np.zeros(site.width, np.float32))
        shift[head * site.head_dim : (head + 1) * site.head_dim] += vector
    for layer, vector in residual.items():
        if not 0 <= layer < loaded.n_layers:
            raise SteeringError(f"the model has no layer {layer}")
        _check_width(f"the residual stream behind layer {layer}", vector, stream_width(loaded))
    n_heads = len(heads) + (intervention.n_heads if intervention is not None else 0)
    return Intervention(shifts, n_heads, scope, residual), 1.0


def _check_width(place: str, vector: NDArray[np.float32], width: int) -> None:
    if vector.shape != (width,):
        raise SteeringError(f"the vector of {place} has {len(vector)} numbers, the model needs {width}")
    if not np.isfinite(vector).all():
        raise SteeringError(f"the vector of {place} is not finite")
