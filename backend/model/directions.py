"""A head's toxicity direction. Kept apart from `backend.model.steering`, so that readers of rows need no
torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class HeadDirection:
    """Direction of one head, pointing to toxicity.

    vector: float32 `(head_dim,)` of unit length; sigma: standard deviation of activations along it.
    """

    layer: int
    head: int
    vector: NDArray[np.float32]
    sigma: float
