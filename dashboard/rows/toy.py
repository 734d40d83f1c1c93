"""Rows of the toy experiment for its page: queries cached until the database changes, means over seeds.

Knows the columns of `db.read.toy`. Toy runs belong to no study, so nothing here needs one.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit
from sqlalchemy import Engine

from hormesis.dashboard.rows.cache import Database, cached_query, engine
from hormesis.db import read

SETTINGS = {
    "disjoint": "Disjoint vocabulary",
    "literal": "Literal (shared states)",
    "autoencoder": "ReLU autoencoder",
    "bottleneck": "Softmax bottleneck",
}
PROBES = {
    "means": "Class means",
    "balanced": "Balanced probe",
    "mixture": "Mixture-weighted probe",
    "stopped": "Mixture-weighted probe, stopped early",
}
WEIGHTED = ("mixture", "stopped")
"""Probes that look at the training mixture."""
COSINES = {"absolute": "Absolute", "signed": "Signed"}
RARE_FEATURES = 4
"""The rare chain's features are the first ones."""
OPTIONS = {
    "width": "width",
    "steps": "steps",
    "weight_decay": "weight decay",
    "learning_rate": "learning rate",
    "label_noise": "label noise",
    "probe_examples": "probe examples",
    "probe_l2": "probe penalty",
}


measures = cached_query(read.toy_measures, most=64)
curves = cached_query(read.toy_curves, most=32)
effects = cached_query(read.toy_effects, most=8)
_directions = cached_query(read.toy_directions, most=64)


@cached_query
def experiments(engine: Engine) -> pd.DataFrame:
    """Every configuration that has runs, with `label`: what it is, told apart from its like."""
    experiments = read.toy_experiments(engine)
    experiments = experiments[experiments["runs"] > 0].reset_index(drop=True)
    return experiments.assign(label=[_label(experiments, place) for place in range(len(experiments))])


def experiments_now(url: str) -> pd.DataFrame:
    """Configurations as they are this moment; for the live progress alone."""
    return read.toy_experiments(engine(url))


def variant(config: dict[str, object], others: list[dict[str, object]]) -> str:
    """What a configuration sets otherwise than some of its like, e.g. `steps 2000, weight decay 0.01`."""
    keys = [key for key in config if any(other.get(key) != config[key] for other in others)]
    return ", ".join(f"{OPTIONS.get(key, key.replace('_', ' '))} {_plain(config[key])}" for key in keys)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _label(experiments: pd.DataFrame, place: int) -> str:
    row = experiments.iloc[place]
    of_setting = experiments[experiments["setting"] == row["setting"]]["config"].tolist()
    settings = variant(row["config"], of_setting)
    name = SETTINGS.get(str(row["setting"]), str(row["setting"]))
    return f"{name}, {settings}" if settings else name


def directions(
    database: Database, experiment_id: int, *, share: float, seed: int, network: str, probe: str
) -> NDArray[np.float64]:
    """Directions of one run, not normalised: [12, width]; [0, 0] where there are none."""
    directions = _directions(database, experiment_id, share=share, seed=seed, network=network, probe=probe)
    return np.stack(directions["vector"].tolist()).astype(np.float64) if len(directions) else np.zeros((0, 0))


def over_seeds(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean of a column over seeds by share with Student's 95 % interval: share, value, low, high, n.

    The ends are missing where there is one seed.
    """
    intervals = []
    for share, of_share in rows.groupby("share", sort=True):
        values = of_share[column].to_numpy(dtype=float)
        n, mean = len(values), float(values.mean())
        half = math.nan
        if n > 1:
            half = float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(n)
        intervals.append((share, mean, mean - half, mean + half, n))
    return pd.DataFrame(intervals, columns=["share", "value", "low", "high", "n"])


def run_effects(rows: pd.DataFrame, cosine: str) -> pd.DataFrame:
    """Each run below r = 1 with its `effect`: its rare less control entanglement, against r = 1 of its seed.

    Columns: share, seed, rare_accuracy, effect. The effects stored as DiD are means of these.
    """
    gap = rows[f"rare_{cosine}"] - rows[f"control_{cosine}"]
    with_gap = rows.assign(gap=gap)
    base = with_gap[with_gap["share"] == 1.0].set_index("seed")["gap"]
    below = with_gap[(with_gap["share"] != 1.0) & with_gap["seed"].isin(base.index)]
    effect = below["gap"].to_numpy() - base.loc[below["seed"]].to_numpy()
    return below[["share", "seed", "rare_accuracy"]].assign(effect=effect)
