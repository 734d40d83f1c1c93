"""Every number of the attacks on an arm, over its seeds; and, for all attacks alike, what they undo.

Success of suffixes comes from the goals themselves. Of other attacks no prompt's values are kept, only each
seed's mean and its interval over prompts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select

from hormesis.db.contract.attacks import OPENED, UNDONE
from hormesis.db.contract.scores import TOXIC
from hormesis.db.read.columns import columns_of
from hormesis.db.schema import (
    Arm,
    Attack,
    AttackOutcome,
    AttackPoint,
    AttackSummary,
    AttackTrial,
    Base,
    Checkpoint,
    Condition,
)
from hormesis.db.write import read_session, replace_rows, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.probing.head_accuracy import ArmGroup
from hormesis.pipeline.statistics import SCORE, Bounds, Estimate, Spread, over_intervals, over_seeds
from hormesis.pipeline.statistics.frames import condition_row, estimates, groups
from hormesis.pipeline.study.config_base import exact_key_part
from hormesis.pipeline.summaries.arms import CHECKPOINT, in_arm, is_hardly_toxic
from hormesis.pipeline.summaries.seed_variance import like, pooled_spreads

CONDITION = (Condition.key.label("pool"), Condition.method, Condition.strength, Condition.matched_cost)
ATTACK = (Attack.kind.label("attack"), Attack.setting, Attack.parameters)
NUMBER = ["pool", "attack", "setting", "name", "x"]
"""What tells the numbers of an arm apart."""
RATES = ("success", "prefix_match", "success_before")
PER_GOAL = {**dict.fromkeys(RATES, "share of goals"), "loss_fall": "nats per target token", UNDONE: "points"}
"""Numbers of suffixes that the goals themselves give, with their units."""
UNITS = {"toxicity": "points", "loss": "nats"}
"""Units of curves; others are fractions."""
LOSSES = ("cost", "loss", "loss_fall")
"""Without bounds, so that seeds vary alike in all arms."""
BOUNDS: dict[str, Bounds] = {
    "toxicity": (0.0, 100.0),
    **dict.fromkeys((*RATES, "silent", "silent_before", "fluency", "repetition_4"), SCORE),
    **dict.fromkeys(("loss", "steps"), (0.0, math.inf)),
    **dict.fromkeys((UNDONE, OPENED, "toxicity_change", "drift", "gap_at_end"), (-100.0, 100.0)),
}


def summarise_attacks(context: StudyContext, arm: ArmGroup) -> None:
    """Write an arm's rows of `attack_summary`; drop those that no stored attack gives any more.

    A number that lies beyond the budget in some seed has no mean, and no row.
    """
    numbers, goals = _numbers(context), _goals(context)
    numbers = numbers[(numbers["attack"] != "suffix") | ~numbers["name"].isin(PER_GOAL)]
    rows = _of_intervals(context, numbers, arm) + _of_goals(context, goals, arm)
    within = [
        AttackSummary.study_id == context.study_id,
        AttackSummary.kind == arm.kind,
        AttackSummary.share == arm.share,
    ]
    with write_session(context.engine) as session:
        replace_rows(session, AttackSummary, rows, on=("study_id", "key"), within=within)


def _of_intervals(context: StudyContext, numbers: pd.DataFrame, arm: ArmGroup) -> list[dict[str, Any]]:
    """Rows of numbers (one a checkpoint) that are known as a mean with its interval."""
    seed_spreads = _spreads(numbers, arm)
    rows = []
    for key, of_seeds in groups(in_arm(numbers, arm), NUMBER):
        if of_seeds["value"].isna().any():
            continue
        bounds = BOUNDS.get(of_seeds["name"].iloc[0])
        estimate = over_intervals(estimates(of_seeds), spread=seed_spreads.get(key), bounds=bounds)
        rows.append(_row(context, of_seeds, estimate=estimate))
    return rows


def _of_goals(context: StudyContext, goals: pd.DataFrame, arm: ArmGroup) -> list[dict[str, Any]]:
    """Rows of numbers of suffix searches; `goals`: a row per goal, checkpoint and number."""
    if goals.empty:
        return []
    checkpoint = ["checkpoint", "kind", "share", *NUMBER]
    means = goals.groupby(checkpoint, as_index=False).agg(value=("value", "mean"), trials=("value", "count"))
    means["trials"] = means["trials"].where(means["name"].isin(RATES))
    seed_spreads = _spreads(means, arm)
    rows = []
    for key, of_seeds in groups(in_arm(goals, arm), NUMBER):
        values = [goal["value"].to_numpy(dtype=np.float64) for _, goal in groups(of_seeds, "checkpoint")]
        if any(np.isnan(of_seed).all() for of_seed in values):
            continue
        estimate = over_seeds(
            values, draws=context.config.evaluation.bootstrap, spread=seed_spreads.get(key),
            bounds=BOUNDS.get(of_seeds["name"].iloc[0]), unit="goals",
        )  # fmt: skip
        rows.append(_row(context, of_seeds, estimate=estimate))
    return rows


def _spreads(numbers: pd.DataFrame, arm: ArmGroup) -> dict[Any, Spread]:
    """Variance between seeds by `NUMBER`, pooled over the arms that are like this one."""
    alike = like(numbers, hardly_toxic=is_hardly_toxic(*arm), in_all=numbers["name"].isin(LOSSES))
    return pooled_spreads(alike[alike["value"].notna()], NUMBER)


def _row(context: StudyContext, of_seeds: pd.DataFrame, *, estimate: Estimate) -> dict[str, Any]:
    first = of_seeds.iloc[0]
    x = None if first["x"] < 0 else float(first["x"])
    key_parts = [first["attack"], first["setting"], first["name"], "" if x is None else exact_key_part(x)]
    row = condition_row(context.study_id, of_seeds, key_parts, estimate=estimate, unit=first["unit"])
    return row | {"attack": first["attack"], "setting": first["setting"], "name": first["name"], "x": x}


def _read(context: StudyContext, table: type[Base], *left_out: str) -> pd.DataFrame:
    """Rows of a table of attacks, without the columns left out, with checkpoint, arm and condition."""
    query = (
        select(*CHECKPOINT, *CONDITION, *ATTACK, *columns_of(table, "id", "attack_id", *left_out))
        .select_from(Attack)
        .join(table)
        .join(Condition, Attack.condition_id == Condition.id)
        .join(Checkpoint, Attack.checkpoint_id == Checkpoint.id)
        .outerjoin(Arm, Checkpoint.arm_id == Arm.id)
        .where(Checkpoint.study_id == context.study_id)
        .order_by(Arm.seed, Checkpoint.id, Condition.id, Attack.id)
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection())


def _numbers(context: StudyContext) -> pd.DataFrame:
    """Every number of every attack on every checkpoint with its interval; `x` is -1 off a curve."""
    outcomes = _read(context, AttackOutcome, "censored").assign(x=-1.0)
    points = _read(context, AttackPoint).rename(columns={"series": "name"})
    points = points.assign(interval="over prompts", unit=points["name"].map(UNITS).fillna("fraction"))
    parts = [outcomes, points, _undone(outcomes, points, context), _opened(outcomes)]
    numbers = pd.concat([part for part in parts if len(part)] or [outcomes], ignore_index=True)
    return numbers.drop(columns="parameters")


def _undone(outcomes: pd.DataFrame, points: pd.DataFrame, context: StudyContext) -> pd.DataFrame:
    """The change of toxicity (points) by each attack but suffixes, a row per checkpoint and condition."""
    changes = outcomes[outcomes["name"] == "toxicity_change"]
    drifts = outcomes[(outcomes["attack"] == "long") & (outcomes["name"] == "drift")]
    coarsest = changes[(changes["attack"] == "quantised") & (changes["setting"] == "int4")]
    toxicity = outcomes[(outcomes["attack"] == "sampling") & (outcomes["name"] == "toxicity")]
    toxicity = toxicity.assign(
        **{
            name: [float(parameters[name]) for parameters in toxicity["parameters"]]
            for name in ("temperature", "top_p")
        }
    )
    evaluation = context.config.evaluation
    is_usual = (toxicity["temperature"] == evaluation.temperature) & (toxicity["top_p"] == evaluation.top_p)
    hottest = toxicity[~is_usual & (toxicity["temperature"] == toxicity["temperature"].max())]
    wildest = hottest[hottest["top_p"] == hottest["top_p"].max()]
    curve = points[(points["attack"] == "relearn") & (points["name"] == "toxicity")]
    parts = (
        _over_settings(changes[changes["attack"] == "injection"]),
        drifts,
        coarsest,
        _difference(wildest, toxicity[is_usual], on=["checkpoint", "pool"]),
        _difference(curve[curve["x"] == curve["x"].max()], curve[curve["x"] == 0], on=["checkpoint", "pool"]),
    )
    undone = pd.concat([part[outcomes.columns] for part in parts if len(part)] or [outcomes[:0]])
    return undone.assign(name=UNDONE, setting="", x=-1.0, unit="points")


def _opened(outcomes: pd.DataFrame) -> pd.DataFrame:
    """What frames add under a condition less what they add unsteered (points), mean over frames."""
    changes = outcomes[(outcomes["attack"] == "injection") & (outcomes["name"] == "toxicity_change")]
    unsteered, others = changes[changes["pool"] == "none"], changes[changes["pool"] != "none"]
    differences = _difference(others, unsteered, on=["checkpoint", "setting"])
    return _over_settings(differences).assign(name=OPENED)


def _difference(after: pd.DataFrame, before: pd.DataFrame, *, on: list[str]) -> pd.DataFrame:
    """Rows of `after` less the row of `before` that is alike in `on`.

    Their prompts are the same, but no prompt's values are kept: errors are added as if independent, which is
    on the wide side.
    """
    before = before[[*on, "value", "low", "high"]]
    pairs = after.merge(before, on=on, suffixes=("", "_before"))
    value = pairs["value"] - pairs["value_before"]
    below = np.hypot(pairs["value"] - pairs["low"], pairs["high_before"] - pairs["value_before"])
    above = np.hypot(pairs["high"] - pairs["value"], pairs["value_before"] - pairs["low_before"])
    return pairs[after.columns].assign(value=value, low=value - below, high=value + above)


def _over_settings(numbers: pd.DataFrame) -> pd.DataFrame:
    """Means over settings by checkpoint and condition; settings share prompts, so ends are averaged too."""
    means = numbers.groupby(["checkpoint", "pool"], sort=False)[["value", "low", "high"]].mean()
    first = numbers.drop_duplicates(["checkpoint", "pool"]).drop(columns=["value", "low", "high"])
    return first.merge(means.reset_index(), on=["checkpoint", "pool"]).assign(setting="")


def _goals(context: StudyContext) -> pd.DataFrame:
    """What suffix searches came to, a row per goal, checkpoint, condition, setting and number.

    All of them have the same goals.
    """
    trials = _read(context, AttackTrial, "prompt", "text", "target").sort_values("position", kind="stable")
    trials = trials[trials["attack"] == "suffix"].drop(columns="parameters")
    values = {
        "success": trials["success"],
        "prefix_match": trials["prefix_match"],
        "success_before": trials["before"] > TOXIC,
        "loss_fall": trials["loss_first"] - trials["loss_last"],
        UNDONE: 100 * (trials["score"] - trials["before"]),
    }
    parts = [
        trials.assign(name=name, value=of_name.astype(float), unit=PER_GOAL[name], x=-1.0)
        for name, of_name in values.items()
    ]
    return pd.concat(parts, ignore_index=True)
