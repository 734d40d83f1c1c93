"""The toy experiment's rows: what is there already, and writing what was made under natural keys.

Knows the tables; trains nothing. A chunk's runs, curves, measures and the effects that follow from all runs
of its configuration are written in one transaction, so a cut never leaves an effect beside other runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from hormesis.db.blocks import encode_float32
from hormesis.db.read.columns import columns_of
from hormesis.db.schema import ToyEffect, ToyExperiment, ToyMean, ToyMeasure, ToyPoint, ToyRun, utc_now
from hormesis.db.write import ids, insert_missing, read_session, upsert, write_session
from hormesis.pipeline.execution import provenance
from hormesis.pipeline.statistics import SCORE, over_runs
from hormesis.pipeline.statistics.frames import groups
from hormesis.pipeline.toy.chains import FEATURES, RARE
from hormesis.pipeline.toy.config import PROBES, SPLITS, ToyConfig, ToyRequest
from hormesis.pipeline.toy.effects import Effect, RunValues, effect
from hormesis.pipeline.toy.geometry import random_null, welch_bound
from hormesis.pipeline.toy.measures import Measure
from hormesis.pipeline.toy.tasks import Run, task_of
from hormesis.pipeline.toy.training import TrainedModels

COSINES = ("absolute", "signed")
BOUNDS = {"absolute": SCORE, "signed": (-1.0, 1.0), "norm": (0.0, math.inf)}
MEASURES = tuple(f"{group}_{of}" for group in ("rare", "control") for of in BOUNDS)
MEAN_KEYS = ("network", "probe", "share")
CURVES = ("rare_loss", "control_loss", "rare_accuracy", "control_accuracy")


def register(engine: Engine, config: ToyConfig) -> int:
    """Id of the configuration's row; written on first sight."""
    query = select(ToyExperiment.id).where(ToyExperiment.hash == config.hash)
    with read_session(engine) as session:
        experiment_id = session.scalar(query)
    if experiment_id is not None:
        return experiment_id
    dimensions = task_of(config).dimensions
    row = {
        "hash": config.hash,
        "setting": config.setting,
        "config": config.model_dump(mode="json"),
        "created": utc_now(),
        "features": FEATURES,
        "dimensions": dimensions,
        "welch": welch_bound(FEATURES, dimensions),
        "null_absolute": random_null(FEATURES, dimensions, signed=False),
        "null_signed": random_null(FEATURES, dimensions, signed=True),
        "status": "stopped",
        "done": 0.0,
        "total": 0.0,
        "seconds": 0.0,
        "host": provenance.host(),
        "packages": provenance.packages(),
        "git_revision": provenance.git_revision(),
    }
    with write_session(engine) as session:
        insert_missing(session, ToyExperiment, [row], on=["hash"])
        experiment_id = session.scalar(query)
    assert experiment_id is not None
    return experiment_id


def mark(engine: Engine, experiment_id: int, **values: Any) -> None:
    """Change the state that live views read."""
    with write_session(engine) as session:
        session.execute(
            update(ToyExperiment)
            .where(ToyExperiment.id == experiment_id)
            .values(heartbeat=utc_now(), **values)
        )


def seconds_so_far(engine: Engine, experiment_id: int) -> float:
    """Working seconds of earlier commands."""
    with read_session(engine) as session:
        query = select(ToyExperiment.seconds).where(ToyExperiment.id == experiment_id)
        return float(session.scalar(query) or 0.0)


def missing(engine: Engine, experiment_id: int, wanted_runs: ToyRequest) -> list[Run]:
    """Runs of the request that lack a row or a measure, by seed, then share."""
    query = (
        select(ToyRun.share, ToyRun.seed, ToyMeasure.network, ToyMeasure.probe)
        .join(ToyMeasure, ToyMeasure.run_id == ToyRun.id)
        .where(ToyRun.experiment_id == experiment_id)
    )
    with read_session(engine) as session:
        stored = {tuple(row) for row in session.execute(query)}
    wanted_measures = [(network, probe) for network in ("trained", "frozen") for probe in wanted_runs.probes]
    return [
        Run(share, seed)
        for seed in sorted(wanted_runs.seeds)
        for share in sorted(wanted_runs.shares)
        if any((share, seed, network, probe) not in stored for network, probe in wanted_measures)
    ]


def save(
    engine: Engine,
    experiment_id: int,
    runs: Sequence[Run],
    *,
    trained: TrainedModels,
    measures: Sequence[Sequence[Measure]],
    incomplete_runs: Iterable[Run],
) -> None:
    """Write the runs of a chunk that lack a row or a measure, with curves, measures and all effects.

    `places`: indices of these runs in `runs`; `measures` has a list for each of `runs`.
    """
    to_write = set(incomplete_runs)
    places = [place for place, run in enumerate(runs) if run in to_write]
    curves = {place: _curve(trained, place) for place in places}
    rows = [
        {
            "experiment_id": experiment_id,
            "share": runs[place].share,
            "seed": runs[place].seed,
            **dict(zip(CURVES, curves[place][-1], strict=True)),
        }
        for place in places
    ]
    with write_session(engine) as session:
        upsert(session, ToyRun, rows, on=["experiment_id", "share", "seed"])
        run_ids = ids(session, ToyRun, "share", "seed", where=[ToyRun.experiment_id == experiment_id])
        id_by_place = {place: run_ids[runs[place].share, runs[place].seed] for place in places}
        points = [
            {"run_id": id_by_place[place], "step": int(step), **dict(zip(CURVES, values, strict=True))}
            for place in places
            for step, values in zip(trained.steps, curves[place], strict=True)
        ]
        upsert(session, ToyPoint, points, on=["run_id", "step"])
        measure_rows = [
            _measure_row(id_by_place[place], measure) for place in places for measure in measures[place]
        ]
        upsert(session, ToyMeasure, measure_rows, on=["run_id", "network", "probe"])
        _summarise(session, experiment_id)


def summarise(engine: Engine, experiment_id: int) -> None:
    """Write the means and effects over all stored runs of a configuration."""
    with write_session(engine) as session:
        _summarise(session, experiment_id)


def _summarise(session: Session, experiment_id: int) -> None:
    """Write the means by share and the effects; `rows`: one a run, network and probe."""
    query = (
        select(ToyRun.share, ToyRun.seed, ToyRun.rare_accuracy, *columns_of(ToyMeasure, "vectors"))
        .join(ToyMeasure, ToyMeasure.run_id == ToyRun.id)
        .where(ToyRun.experiment_id == experiment_id)
        .order_by(ToyRun.seed, ToyRun.share)
    )
    rows = [dict(row) for row in session.execute(query).mappings()]
    means = [{"experiment_id": experiment_id, **mean} for mean in means_of(rows)]
    upsert(session, ToyMean, means, on=["experiment_id", "network", "probe", "share", "name"])
    effects = [{"experiment_id": experiment_id, **effect_row} for effect_row in effects_of(rows)]
    upsert(session, ToyEffect, effects, on=["experiment_id", "network", "probe", "cosine", "split"])


def _curve(trained: TrainedModels, run_index: int) -> list[list[float]]:
    """Loss and accuracy of both groups at each point, in the order of CURVES."""
    columns = [
        measure[run_index][:, group].mean(axis=-1)
        for measure in (trained.losses, trained.accuracies)
        for group in (RARE, ~RARE)
    ]
    return [[float(value) for value in row] for row in np.stack(columns, axis=-1)]


def _measure_row(run_id: int, measure: Measure) -> dict[str, Any]:
    values = {name: getattr(measure, name) for name in Measure.__dataclass_fields__ if name != "vectors"}
    return {"run_id": run_id, **values, "vectors": encode_float32(measure.vectors)}


def means_of(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of `toy_mean` without experiment; `rows`: one a run, network and probe, with share and measures.

    Student's t over the seeds of each share by itself, not pooled: seeds spread ten times as much at some
    shares as at others (measured, bottleneck and autoencoder).
    """
    runs = pd.DataFrame(rows, columns=[*MEAN_KEYS, *MEASURES])
    for key, of_seeds in groups(runs, [*MEAN_KEYS]):
        for name in MEASURES:
            estimate = over_runs(of_seeds[name], bounds=BOUNDS[name.partition("_")[2]])
            columns = estimate.columns | dict(zip(MEAN_KEYS, key, strict=True)) | {"name": name}
            yield columns | {"n_seeds": columns.pop("n")}


def effects_of(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of `toy_effect` without experiment; `rows` as for `means_of`, with seed and accuracy.

    A frozen network has learned: its runs are not split.
    """
    for network in ("trained", "frozen"):
        for probe in PROBES:
            probe_rows = [row for row in rows if row["network"] == network and row["probe"] == probe]
            for cosine in COSINES if probe_rows else ():
                values = [
                    RunValues(
                        share=row["share"],
                        seed=row["seed"],
                        accuracy=row["rare_accuracy"],
                        rare=row[f"rare_{cosine}"],
                        control=row[f"control_{cosine}"],
                    )
                    for row in probe_rows
                ]
                for split in SPLITS if network == "trained" else SPLITS[:1]:
                    key = {"network": network, "probe": probe, "cosine": cosine}
                    yield key | _effect_row(effect(values, split))


def _effect_row(estimate: Effect) -> dict[str, Any]:
    return {
        "split": estimate.split,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n_seeds": estimate.seeds,
        "n_runs": estimate.runs,
        "n_positive": estimate.positive,
        "interval": estimate.interval,
    }
