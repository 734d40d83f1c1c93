"""Queries about conditions and their numbers: metrics, summaries, dose-response and trade-off curves."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Double, Engine, func, or_, select

from hormesis.db.contract.gates import Bounds
from hormesis.db.gates.losses import MEASURED, gate_rows
from hormesis.db.read.columns import study_rows
from hormesis.db.read.frame import frame
from hormesis.db.read.hardness import capability_summaries
from hormesis.db.read.runs import study
from hormesis.db.schema import Arm, Condition, Summary


def conditions(engine: Engine, checkpoint_id: int) -> pd.DataFrame:
    """A row per condition of a checkpoint, `none` first; condition is the stored key, parameters a dict."""
    query = (
        select(
            Condition.id.label("condition_id"),
            Condition.key.label("condition"),
            Condition.method,
            Condition.direction_method,
            Condition.strength,
            Condition.matched_cost,
            Condition.reached,
            Condition.scope,
            Condition.control,
            Condition.n_heads,
            Condition.parameters,
        )
        .where(Condition.checkpoint_id == checkpoint_id)
        .order_by((Condition.method != "none"), Condition.method, Condition.id)
    )
    return frame(engine, query)


def summaries(
    engine: Engine,
    study_id: int,
    *,
    name: str | None = None,
    prompt_set: str | None = None,
    scorer: str | None = None,
) -> pd.DataFrame:
    """Metrics over the seeds, a row per arm kind, share, condition, prompt set, scorer and metric.

    All columns of `summary` but its keys, and `measured_share`, the part of the arm's text that the judge
    calls toxic (null: not judged); random directions of one setting have a row together. `name` (of the
    metric), `prompt_set` and `scorer` narrow the rows; the last two also let rows through that have none
    (cost, cross_entropy).
    """
    of_arm = (Arm.study_id == study_id, Arm.kind == Summary.kind, Arm.share == Summary.share)
    measured = (
        select(func.avg(Arm.toxic_share, type_=Double()))
        .where(*of_arm)
        .scalar_subquery()
        .label("measured_share")
    )
    query = study_rows(Summary, study_id).add_columns(measured)
    query = query.order_by(
        Summary.kind.desc(),
        Summary.share,
        Summary.method,
        Summary.strength.nulls_first(),
        Summary.condition_key,
        Summary.id,
    )
    if name is not None:
        query = query.where(Summary.name == name)
    if prompt_set is not None:
        query = query.where(or_(Summary.prompt_set == prompt_set, Summary.prompt_set.is_(None)))
    if scorer is not None:
        query = query.where(or_(Summary.scorer == scorer, Summary.scorer.is_(None)))
    return frame(engine, query)


def gates(engine: Engine, study_id: int, prompt_set: str | None = None) -> pd.DataFrame:
    """What a study's conditions lose against the unsteered models, on one prompt set or all: `gate_rows`.

    That follows from summaries whenever they are read, so that other bounds need nothing measured again.
    """
    config = study(engine, study_id)["config"]
    bounds = Bounds(**(config.iloc[0].get("gates") or {})) if len(config) else Bounds()
    query = study_rows(Summary, study_id).where(Summary.name.in_(MEASURED)).order_by(Summary.id)
    if prompt_set is not None:
        query = query.where(or_(Summary.prompt_set == prompt_set, Summary.prompt_set.is_(None)))
    return gate_rows(frame(engine, query), capability_summaries(engine, study_id), bounds)


def summary_choices(engine: Engine, study_id: int) -> pd.DataFrame:
    """A row per metric (name), prompt_set, scorer and arm kind that has summaries, and n, its most texts."""
    keys = (Summary.name, Summary.prompt_set, Summary.scorer, Summary.kind)
    query = (
        select(*keys, func.max(Summary.n).label("n"))
        .where(Summary.study_id == study_id)
        .group_by(*keys)
        .order_by(*(key.nulls_first() for key in keys))
    )
    return frame(engine, query)
