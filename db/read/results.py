"""Queries about conditions and their numbers: metrics, summaries, dose-response and trade-off curves."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine, and_, func, or_, select

from db.read.frame import Query, frame
from db.schema import Arm, Checkpoint, Condition, Metric, PromptSet, Scorer, Study, Summary

CONDITION = (
    Condition.id.label("condition_id"),
    Condition.key.label("condition"),
    Condition.method,
    Condition.direction_method,
    Condition.strength,
    Condition.matched_cost,
    Condition.reached,
    Condition.scope,
    Condition.control,
)


def conditions(engine: Engine, checkpoint_id: int) -> pd.DataFrame:
    """Conditions of a checkpoint, `none` first, with n_heads and parameters (dict)."""
    query = (
        select(*CONDITION, Condition.n_heads, Condition.parameters)
        .where(Condition.checkpoint_id == checkpoint_id)
        .order_by((Condition.method != "none"), Condition.method, Condition.id)
    )
    return frame(engine, query)


def metrics(engine: Engine, condition_id: int) -> pd.DataFrame:
    """Numbers of a condition: name, value, low, high, n, unit, interval, prompt_set, scorer, revision."""
    query = (
        select(
            Metric.name,
            Metric.value,
            Metric.low,
            Metric.high,
            Metric.n,
            Metric.unit,
            Metric.interval,
            PromptSet.name.label("prompt_set"),
            Scorer.name.label("scorer"),
            Scorer.revision.label("scorer_revision"),
        )
        .outerjoin(PromptSet, Metric.prompt_set_id == PromptSet.id)
        .outerjoin(Scorer, Metric.scorer_id == Scorer.id)
        .where(Metric.condition_id == condition_id)
        .order_by(Metric.name, PromptSet.name, Scorer.name)
    )
    return frame(engine, query, optional=("prompt_set", "scorer", "scorer_revision"))


def metric_provenance(engine: Engine, condition_id: int) -> pd.DataFrame:
    """The numbers of a condition with all that makes them repeatable: study hash, data, scorer, weights."""
    query = (
        select(
            Metric.key,
            Metric.name,
            Metric.value,
            Metric.n,
            Metric.interval,
            Scorer.name.label("scorer"),
            Scorer.revision.label("scorer_revision"),
            PromptSet.name.label("prompt_set"),
            PromptSet.revision.label("prompt_set_revision"),
            Checkpoint.name.label("checkpoint"),
            Checkpoint.weights_hash,
            Study.hash.label("study_hash"),
            Study.data_revisions,
        )
        .join(Checkpoint, Metric.checkpoint_id == Checkpoint.id)
        .join(Study, Checkpoint.study_id == Study.id)
        .outerjoin(PromptSet, Metric.prompt_set_id == PromptSet.id)
        .outerjoin(Scorer, Metric.scorer_id == Scorer.id)
        .where(Metric.condition_id == condition_id)
        .order_by(Metric.key)
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
    """Metrics over the seeds of each arm kind and share, all columns of `summary` but its key.

    `prompt_set` and `scorer` also let rows through that have none (cost, cross_entropy).
    """
    query = _summary_query(study_id)
    if name is not None:
        query = query.where(Summary.name == name)
    if prompt_set is not None:
        query = query.where(or_(Summary.prompt_set == prompt_set, Summary.prompt_set.is_(None)))
    if scorer is not None:
        query = query.where(or_(Summary.scorer == scorer, Summary.scorer.is_(None)))
    return frame(engine, query)


def summary_choices(engine: Engine, study_id: int) -> pd.DataFrame:
    """What there are summaries of: name, prompt_set, scorer, kind, and n, the largest number of texts."""
    keys = (Summary.name, Summary.prompt_set, Summary.scorer, Summary.kind)
    query = (
        select(*keys, func.max(Summary.n).label("n"))
        .where(Summary.study_id == study_id)
        .group_by(*keys)
        .order_by(*keys)
    )
    return frame(engine, query)


def dose_response(
    engine: Engine, study_id: int, *, prompt_set: str, scorer: str | None, name: str = "toxicity"
) -> pd.DataFrame:
    """One metric against the share, a row per arm kind, share and condition, over seeds.

    Give `scorer=None` for metrics no scorer makes, e.g. `repetition_4`.
    """
    by = Summary.scorer.is_(None) if scorer is None else Summary.scorer == scorer
    query = _summary_query(study_id).where(Summary.name == name, Summary.prompt_set == prompt_set, by)
    return frame(engine, query)


def _summary_query(study_id: int) -> Query:
    columns = [c for c in Summary.__table__.columns if c.name not in ("id", "study_id", "key")]
    return (
        select(*columns)
        .where(Summary.study_id == study_id)
        .order_by(
            Summary.kind.desc(),
            Summary.share,
            Summary.method,
            Summary.strength,
            Summary.condition_key,
            Summary.id,
        )
    )


def tradeoff(
    engine: Engine,
    study_id: int,
    *,
    prompt_set: str,
    scorer: str,
    name: str = "toxicity",
    fluency_scorer: str | None = None,
) -> pd.DataFrame:
    """Toxicity, cost and fluency side by side, a row per checkpoint and condition (so per seed).

    Columns: checkpoint_id, checkpoint, arm, kind, share, seed, the condition's columns, and for each of
    toxicity (the metric called `name`), cost and fluency: value, `_low`, `_high`, `_n` and `_unit`. Where
    several scorers measure fluency, `fluency_scorer` chooses; else the first by name counts.
    """
    base = frame(engine, _checkpoint_conditions(study_id), optional=("arm", "kind", "share", "seed"))
    found = frame(engine, _curve_metrics(study_id, name, prompt_set, scorer))
    if fluency_scorer is not None:
        found = found[(found["name"] != "fluency") | (found["scorer"] == fluency_scorer)]
    for metric, prefix in ((name, "toxicity"), ("cost", "cost"), ("fluency", "fluency")):
        part = found[found["name"] == metric].sort_values("scorer").drop_duplicates("condition_id")
        part = part[["condition_id", "value", "low", "high", "n", "unit"]].rename(
            columns={
                "value": prefix,
                "low": f"{prefix}_low",
                "high": f"{prefix}_high",
                "n": f"{prefix}_n",
                "unit": f"{prefix}_unit",
            }
        )
        base = base.merge(part.astype({f"{prefix}_n": "Int64"}), on="condition_id", how="left")
    return base


def _checkpoint_conditions(study_id: int) -> Query:
    return (
        select(
            Checkpoint.id.label("checkpoint_id"),
            Checkpoint.name.label("checkpoint"),
            Arm.name.label("arm"),
            Arm.kind,
            Arm.share,
            Arm.seed,
            *CONDITION,
        )
        .join(Condition, Condition.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == study_id)
        .order_by(Arm.kind.desc(), Arm.share, Arm.seed, Checkpoint.name, Condition.method, Condition.strength)
    )


def _curve_metrics(study_id: int, name: str, prompt_set: str, scorer: str) -> Query:
    wanted = or_(
        and_(Metric.name == name, PromptSet.name == prompt_set, Scorer.name == scorer),
        and_(Metric.name == "fluency", PromptSet.name == prompt_set),
        and_(Metric.name == "cost", Metric.prompt_set_id.is_(None)),
    )
    return (
        select(
            Metric.condition_id,
            Metric.name,
            Metric.value,
            Metric.low,
            Metric.high,
            Metric.n,
            Metric.unit,
            Scorer.name.label("scorer"),
        )
        .select_from(Checkpoint)
        .join(Condition, Condition.checkpoint_id == Checkpoint.id)
        .join(Metric, Metric.condition_id == Condition.id)
        .outerjoin(PromptSet, Metric.prompt_set_id == PromptSet.id)
        .outerjoin(Scorer, Metric.scorer_id == Scorer.id)
        .where(Checkpoint.study_id == study_id, Metric.name.in_((name, "cost", "fluency")), wanted)
    )


def tradeoff_summary(
    engine: Engine, study_id: int, *, prompt_set: str, scorer: str, name: str = "toxicity"
) -> pd.DataFrame:
    """Like `tradeoff`, over seeds: a row per arm kind, share and condition, with n_seeds."""
    rows = frame(
        engine,
        _summary_query(study_id).where(
            or_(
                and_(Summary.name == name, Summary.prompt_set == prompt_set, Summary.scorer == scorer),
                and_(Summary.name == "fluency", Summary.prompt_set == prompt_set),
                and_(Summary.name == "cost", Summary.prompt_set.is_(None)),
            )
        ),
    )
    keys = ["kind", "share", "condition_key"]
    shown = [*keys, "method", "strength", "matched_cost", "n_seeds"]
    base = rows[rows["name"] == name][shown].drop_duplicates(keys)
    for metric, prefix in ((name, "toxicity"), ("cost", "cost"), ("fluency", "fluency")):
        part = rows[rows["name"] == metric].sort_values("scorer").drop_duplicates(keys)
        part = part[[*keys, "value", "low", "high", "n", "unit", "interval"]].rename(
            columns={
                "value": prefix,
                **{old: f"{prefix}_{old}" for old in ("low", "high", "n", "unit", "interval")},
            }
        )
        base = base.merge(part.astype({f"{prefix}_n": "Int64"}), on=keys, how="left")
    return base.rename(columns={"condition_key": "condition"})
