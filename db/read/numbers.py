"""Queries for one number at a time: a checkpoint's metrics, and the chain that leads to one of them."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Engine, func, select

from hormesis.db.contract.scorer_training import training_of
from hormesis.db.contract.stages import stages_after_arms
from hormesis.db.engine import reading
from hormesis.db.read.columns import CONDITION
from hormesis.db.read.frame import frame
from hormesis.db.schema import (
    Arm,
    Checkpoint,
    Condition,
    Generation,
    Metric,
    ProbeSet,
    Prompt,
    PromptSet,
    Scorer,
    StageRun,
    Study,
)


def checkpoint_metrics(engine: Engine, checkpoint_id: int) -> pd.DataFrame:
    """Every number of a checkpoint with its condition, prompts and scorer.

    Columns: metric_id, name, value, low, high, n, unit, interval, condition, method, strength, matched_cost
    (all null for a number of the checkpoint itself), prompt_set, scorer, scorer_revision.
    """
    query = (
        select(
            Metric.id.label("metric_id"),
            Metric.name,
            Metric.value,
            Metric.low,
            Metric.high,
            Metric.n,
            Metric.unit,
            Metric.interval,
            *CONDITION,
            PromptSet.name.label("prompt_set"),
            Scorer.name.label("scorer"),
            Scorer.revision.label("scorer_revision"),
        )
        .outerjoin(Condition, Metric.condition_id == Condition.id)
        .outerjoin(PromptSet, Metric.prompt_set_id == PromptSet.id)
        .outerjoin(Scorer, Metric.scorer_id == Scorer.id)
        .where(Metric.checkpoint_id == checkpoint_id)
        .order_by(Metric.name, Condition.id, PromptSet.name, Scorer.name)
    )
    return frame(engine, query)


def number_chain(engine: Engine, metric_id: int) -> pd.DataFrame:
    """Where one number comes from, first the number, last the study: step, what, value, all text.

    Empty where there is no such metric. All is read in one transaction.
    """
    rows = reading(engine, lambda connection: _chain(connection, metric_id))
    return pd.DataFrame(rows, columns=["step", "what", "value"], dtype="str")


def _chain(connection: Connection, metric_id: int) -> list[tuple[str, str, str]]:
    """(step, what, value) of `number_chain`. `metric`, `checkpoint` and the like are their rows as dicts."""

    def row(table: Any, key: int | None) -> dict[str, Any] | None:
        if key is None:
            return None
        stored_row = (
            connection.execute(select(*table.__table__.columns).where(table.id == key)).mappings().first()
        )
        return dict(stored_row) if stored_row else None

    metric = row(Metric, metric_id)
    if metric is None:
        return []
    checkpoint = row(Checkpoint, metric["checkpoint_id"]) or {}
    condition, prompt_set = row(Condition, metric["condition_id"]), row(PromptSet, metric["prompt_set_id"])
    scorer, arm = row(Scorer, metric["scorer_id"]), row(Arm, checkpoint.get("arm_id"))
    study = row(Study, checkpoint.get("study_id")) or {}
    rows = _pick("Number", metric, ("name", "value", "low", "high", "unit", "n", "interval", "key"))
    rows += _pick("Scorer", scorer, ("name", "revision", "measures"))
    if scorer is not None:
        rows.append(("Scorer", "trained on", training_of(scorer["name"], scorer["trained_on"]).text))
    rows += _pick("Prompts", prompt_set, ("name", "revision", "source"))
    if condition is not None and prompt_set is not None:
        rows.append(
            ("Texts", "generations", str(_generations(connection, condition["id"], prompt_set["id"])))
        )
    rows += _pick(
        "Condition",
        condition,
        ("key", "method", "direction_method", "strength", "matched_cost", "reached", "n_heads", "scope",
         "control", "parameters"),
    )  # fmt: skip
    if condition is not None and condition["direction_method"]:
        query = select(ProbeSet.name, ProbeSet.revision).where(ProbeSet.study_id == study.get("id"))
        rows += [("Probe set", str(name), str(revision)) for name, revision in connection.execute(query)]
    rows += _pick(
        "Checkpoint",
        checkpoint,
        ("name", "weights_hash", "tokens_seen", "parameters", "architecture"),
    )
    rows += _pick("Arm", arm, ("name", "kind", "share", "seed", "clean_tokens", "added_tokens", "repeats"))
    revisions = study.get("data_revisions") or {}
    rows += [("Data", str(name), str(value)) for name, value in sorted(revisions.items())]
    rows += _stages(connection, study.get("id"), str(checkpoint.get("name")))
    return rows + _pick("Study", study, ("name", "hash", "scale", "created"))


def _pick(step: str, row: dict[str, Any] | None, names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """(`step`, column, value) for those `names` of a table's row that are not empty; none without a row."""
    entries = [(name, row.get(name)) for name in names] if row else []
    return [
        (step, name.replace("_", " "), _text(value)) for name, value in entries if value not in (None, "", {})
    ]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else str(value)


def _generations(connection: Connection, condition_id: int, prompt_set_id: int) -> int:
    query = (
        select(func.count(Generation.id))
        .join(Prompt, Prompt.id == Generation.prompt_id)
        .where(Generation.condition_id == condition_id, Prompt.prompt_set_id == prompt_set_id)
    )
    return int(connection.execute(query).scalar_one())


def _stages(connection: Connection, study_id: int | None, subject: str) -> list[tuple[str, str, str]]:
    """(step, what, value) of the stage runs that led to a checkpoint, then of the last one's software.

    `subject`: the checkpoint's name (its arm has the same); the study's stages before the arms are in it too.
    """
    query = (
        select(*StageRun.__table__.columns)
        .where(
            StageRun.study_id == study_id,
            StageRun.subject.in_((subject, "study")),
            StageRun.stage.not_in(stages_after_arms()),  # no number of a checkpoint is from these
        )
        .order_by(StageRun.id)
    )
    stage_rows = connection.execute(query).mappings().all()
    rows = [
        (
            "Stages",
            f"{row['stage']} of {row['subject']}",
            f"inputs {row['input_hash']}, {row['status']}"
            + (f" {row['finished']:%Y-%m-%d %H:%M} UTC" if row["finished"] else "")
            + (f" on {row['host']}" if row["host"] else ""),
        )
        for row in stage_rows
    ]
    if stage_rows:
        latest = stage_rows[-1]
        rows += [("Software", "git revision", latest["git_revision"])] if latest["git_revision"] else []
        rows += [("Software", name, str(value)) for name, value in sorted((latest["packages"] or {}).items())]
    return rows
