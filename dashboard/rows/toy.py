"""Rows of the toy experiment for its page: queries cached until the database changes.

Knows the columns of `db.read.toy`. Toy runs belong to no study, so nothing here needs one.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hormesis.dashboard.base.toy_rows import COSINES as COSINES
from hormesis.dashboard.base.toy_rows import PROBES as PROBES
from hormesis.dashboard.base.toy_rows import RARE_FEATURES as RARE_FEATURES
from hormesis.dashboard.base.toy_rows import SETTINGS as SETTINGS
from hormesis.dashboard.base.toy_rows import WEIGHTED as WEIGHTED
from hormesis.dashboard.base.toy_rows import forest_rows as forest_rows
from hormesis.dashboard.base.toy_rows import labelled_experiments
from hormesis.dashboard.base.toy_rows import run_effects as run_effects
from hormesis.dashboard.base.toy_rows import variant as variant
from hormesis.dashboard.rows.cache import Database, cached_query, engine
from hormesis.db import read

experiments = cached_query(labelled_experiments)
measures = cached_query(read.toy_measures, most=64)
means = cached_query(read.toy_means, most=64)
curves = cached_query(read.toy_curves, most=32)
effects = cached_query(read.toy_effects, most=8)
_directions = cached_query(read.toy_directions, most=64)


def experiments_now(url: str) -> pd.DataFrame:
    """Configurations as they are this moment; for the live progress alone."""
    return read.toy_experiments(engine(url))


def directions(
    database: Database, experiment_id: int, *, share: float, seed: int, network: str, probe: str
) -> NDArray[np.float64]:
    """Directions of one run, not normalised: [12, width]; [0, 0] where there are none."""
    directions = _directions(database, experiment_id, share=share, seed=seed, network=network, probe=probe)
    return np.stack(directions["vector"].tolist()).astype(np.float64) if len(directions) else np.zeros((0, 0))
