"""Queries about the toy experiment; `share` is a rare chain's frequency over that of each other chain."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine, func, select

from hormesis.db.blocks import decode_float32
from hormesis.db.read.columns import columns_of
from hormesis.db.read.frame import Query, frame
from hormesis.db.schema import ToyEffect, ToyExperiment, ToyMean, ToyMeasure, ToyPoint, ToyRun


def toy_experiments(engine: Engine) -> pd.DataFrame:
    """Every configuration, oldest first: columns of `toy_experiment` (config as a dict), runs (a count)."""
    run_count = select(func.count()).where(ToyRun.experiment_id == ToyExperiment.id).scalar_subquery()
    query = select(*ToyExperiment.__table__.columns, func.coalesce(run_count, 0).label("runs"))
    return frame(engine, query.order_by(ToyExperiment.id))


def toy_measures(engine: Engine, experiment_id: int, probe: str) -> pd.DataFrame:
    """One row per run and network under one probe (how directions were found, e.g. `means`).

    Columns: run_id, share, seed, losses and accuracies of the run (rare_loss, control_loss, rare_accuracy,
    control_accuracy), network (`trained` or `frozen`), and all of `toy_measure` but its vectors.
    """
    query = (
        select(
            ToyRun.id.label("run_id"),
            ToyRun.share,
            ToyRun.seed,
            ToyRun.rare_loss,
            ToyRun.control_loss,
            ToyRun.rare_accuracy,
            ToyRun.control_accuracy,
            *columns_of(ToyMeasure, "id", "run_id", "probe", "vectors"),
        )
        .join(ToyMeasure, ToyMeasure.run_id == ToyRun.id)
        .where(ToyRun.experiment_id == experiment_id, ToyMeasure.probe == probe)
        .order_by(ToyMeasure.network.desc(), ToyRun.share, ToyRun.seed)
    )
    return frame(engine, query)


def toy_means(engine: Engine, experiment_id: int, probe: str) -> pd.DataFrame:
    """Means over seeds under one probe: network, share, name (a column of `toy_measures`), value, low, high,
    n_seeds, interval; by rising share.
    """
    query: Query = (
        select(*columns_of(ToyMean, "id", "experiment_id", "probe"))
        .where(ToyMean.experiment_id == experiment_id, ToyMean.probe == probe)
        .order_by(ToyMean.network.desc(), ToyMean.name, ToyMean.share)
    )
    return frame(engine, query)


def toy_curves(engine: Engine, experiment_id: int) -> pd.DataFrame:
    """Learning curves as means over seeds: share, step, n (seeds), and loss and accuracy of both groups."""
    curve_names = ("rare_loss", "control_loss", "rare_accuracy", "control_accuracy")
    query = (
        select(
            ToyRun.share,
            ToyPoint.step,
            func.count().label("n"),
            *(func.avg(getattr(ToyPoint, name)).label(name) for name in curve_names),
        )
        .join(ToyPoint, ToyPoint.run_id == ToyRun.id)
        .where(ToyRun.experiment_id == experiment_id)
        .group_by(ToyRun.share, ToyPoint.step)
        .order_by(ToyRun.share, ToyPoint.step)
    )
    return frame(engine, query).astype({"n": "int64"})


def toy_directions(
    engine: Engine, experiment_id: int, *, share: float, seed: int, network: str, probe: str
) -> pd.DataFrame:
    """The 12 directions of one run: feature (0 to 11, the rare chain's first) and vector (float32 [width]).

    `network`: `trained` or `frozen`; `probe`: how they were found, e.g. `means`. Empty where there is no such
    run or measure.
    """
    query = (
        select(ToyMeasure.vectors)
        .join(ToyRun, ToyRun.id == ToyMeasure.run_id)
        .where(
            ToyRun.experiment_id == experiment_id,
            ToyRun.share == share,
            ToyRun.seed == seed,
            ToyMeasure.network == network,
            ToyMeasure.probe == probe,
        )
    )
    rows = frame(engine, query)
    feature_counts = frame(engine, select(ToyExperiment.features).where(ToyExperiment.id == experiment_id))
    vectors = [
        vector
        for run_blob in rows["vectors"]
        for vector in decode_float32(run_blob).reshape(int(feature_counts["features"].iloc[0]), -1)
    ]
    return pd.DataFrame(
        {
            "feature": pd.Series(range(len(vectors)), dtype="int64"),
            "vector": pd.Series(vectors, dtype="object"),
        }
    )


def toy_effects(engine: Engine) -> pd.DataFrame:
    """DiD of every configuration, network, probe, cosine and split; with hash, setting and config (dict)."""
    query = (
        select(ToyExperiment.hash, ToyExperiment.setting, ToyExperiment.config, *columns_of(ToyEffect, "id"))
        .join(ToyExperiment, ToyExperiment.id == ToyEffect.experiment_id)
        .order_by(ToyExperiment.id, ToyEffect.id)
    )
    return frame(engine, query)
