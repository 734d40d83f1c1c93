"""Rows of the toy experiment in words. Knows the columns of `db.read.toy`."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine

from hormesis.dashboard.base.wording import minus
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


def labelled_experiments(engine: Engine) -> pd.DataFrame:
    """Every configuration that has runs, with `label`: what it is, told apart from its like."""
    experiments = read.toy_experiments(engine)
    experiments = experiments[experiments["runs"] > 0].reset_index(drop=True)
    return experiments.assign(label=[_label(experiments, place) for place in range(len(experiments))])


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


def run_effects(rows: pd.DataFrame, cosine: str) -> pd.DataFrame:
    """Each run (row) below r = 1 with `effect`: rare less control entanglement, against r = 1 of its seed.

    Columns: share, seed, rare_accuracy, effect. The effects stored as DiD are means of these.
    """
    gap = rows[f"rare_{cosine}"] - rows[f"control_{cosine}"]
    with_gap = rows.assign(gap=gap)
    base = with_gap[with_gap["share"] == 1.0].set_index("seed")["gap"]
    below = with_gap[(with_gap["share"] != 1.0) & with_gap["seed"].isin(base.index)]
    effect = below["gap"].to_numpy() - base.loc[below["seed"]].to_numpy()
    return below[["share", "seed", "rare_accuracy"]].assign(effect=effect)


def estimate(row: pd.Series) -> str:
    """A row of effects as `+0.104 [+0.054, +0.155], 10 seeds` with proper minus signs."""
    if pd.isna(row["value"]):
        return "no such run"
    if pd.isna(row["low"]):
        text = f"{row['value']:+.3f} (no interval)"
    else:
        text = f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    seeds = int(row["n_seeds"])
    return minus(f"{text}, {seeds} seed{'s' if seeds > 1 else ''}")


def pick(effects: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Rows with these values that have an estimate."""
    for name, value in values.items():
        effects = effects[effects[name] == value]
    return effects[effects["value"].notna()]


def forest_rows(effects: pd.DataFrame, experiments: pd.DataFrame, cosine: str) -> pd.DataFrame:
    """Rows of effects over all low shares under one cosine, with `label` and `hover` for the forest plot."""
    chosen = pick(effects, cosine=cosine, split="all")
    # Frozen networks under probes that do not look at the mixture are zero by construction.
    chosen = chosen[(chosen["network"] == "trained") | (chosen["probe"].isin(WEIGHTED))]
    labels = experiments.set_index("id")["label"]
    chosen = chosen[chosen["experiment_id"].isin(labels.index)].copy()
    chosen["label"] = [
        f"{labels[experiment]}: {PROBES[probe].lower()}"
        for experiment, probe in zip(chosen["experiment_id"], chosen["probe"], strict=True)
    ]
    chosen["hover"] = [
        f"{row['label']}, {row['network']} network<br>{estimate(row)}<br>{row['n_positive']} of "
        f"{row['n_seeds']} seeds above zero, {row['n_runs']} runs"
        for _, row in chosen.iterrows()
    ]
    return chosen
