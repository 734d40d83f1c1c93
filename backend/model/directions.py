"""A head's toxicity direction. Kept apart from `backend.model.steering`, so that readers of rows need no
torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class NoDirections(ValueError):
    """A checkpoint is to be steered along directions that it does not have; one line for the person."""


@dataclass(frozen=True, eq=False)
class HeadDirection:
    """Direction of one head, pointing to toxicity.

    vector: float32 `(head_dim,)` of unit length; sigma: standard deviation of activations along it.
    """

    layer: int
    head: int
    vector: NDArray[np.float32]
    sigma: float


def require_directions(directions: Sequence[HeadDirection], method: str) -> None:
    """Raises NoDirections where a checkpoint's stored `directions` of a method are none."""
    if not directions:
        raise NoDirections(f"no {method} directions are stored for this checkpoint; run its probes first")
