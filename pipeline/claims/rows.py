"""A study's rows as arrays: what claims are tested on. Reads the database, knows no claim.

Every array is given by arm, (kind, share), with one row a seed in the order of the seeds. Arms whose prompts
are not all scored yet are left out, so a running study is tested on what is complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pandas as pd
from sqlalchemy import Engine, case, func, select

from hormesis.backend.scorers import is_empty
from hormesis.db.read.frame import Query
from hormesis.db.schema import (
    USUAL_SAMPLE,
    Arm,
    CapabilityScore,
    Checkpoint,
    Condition,
    Generation,
    Metric,
    Probe,
    Prompt,
    PromptSet,
    Score,
    Scorer,
    Study,
)
from hormesis.db.write import read_session
from hormesis.pipeline.statistics import Floats
from hormesis.pipeline.statistics.frames import groups

ArmKey = tuple[str, float]
"""Kind and share (a fraction) of arms that differ by their seed alone."""
ValuesByArm = dict[ArmKey, Floats]
"""Arm to the values of its seeds: [seeds, prompts] where each prompt (or goal) has one, else [seeds].

NaN where a text is empty, so that nothing could be scored.
"""
IMPORTED = "imported:"
"""What the kind of an imported checkpoint begins with, as an arm of its own; its name follows."""
TOXIC = "toxic"
PAPERS_DOSE = 0.10
"""The share that the paper finds best."""


class StudyRows:
    """Reads of one study, each made once."""

    def __init__(self, engine: Engine, study_id: int) -> None:
        self.engine, self.study_id = engine, study_id
        self._grids: dict[tuple[str, str, str], ValuesByArm] = {}

    def frame(self, query: Query) -> pd.DataFrame:
        """The rows of a query."""
        with read_session(self.engine) as session:
            return pd.read_sql(query, session.connection())

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """A row per checkpoint of a trained arm: checkpoint (its id), kind, share, seed."""
        query = (
            select(Checkpoint.id.label("checkpoint"), Arm.kind, Arm.share, Arm.seed)
            .join(Arm, Checkpoint.arm_id == Arm.id)
            .where(Checkpoint.study_id == self.study_id)
            .order_by(Arm.kind, Arm.share, Arm.seed)
        )
        return self.frame(query)

    @cached_property
    def measured_shares(self) -> dict[ArmKey, float]:
        """Arm to the part of its tokens that stands in toxic documents by the judge, mean over seeds."""
        query = select(Arm.kind, Arm.share, Arm.toxic_share).where(
            Arm.study_id == self.study_id, Arm.toxic_share.is_not(None)
        )
        means = self.frame(query).groupby(["kind", "share"], as_index=False)["toxic_share"].mean()
        rows = means.itertuples(index=False, name=None)
        return {(str(kind), float(share)): float(value) for kind, share, value in rows}

    @cached_property
    def direction(self) -> str:
        """The study's main direction set."""
        with read_session(self.engine) as session:
            config = session.get_one(Study, self.study_id).config
        return str((config.get("steering") or {}).get("direction", "mass_mean"))

    @cached_property
    def conditions(self) -> pd.DataFrame:
        """A row per condition of each checkpoint of a trained arm, with the ids of both.

        `direction`: the set; `matched_cost`: nats, null at a fixed strength; `control`: a random one's
        number.
        """
        query = (
            select(
                Condition.id.label("condition"),
                Condition.checkpoint_id.label("checkpoint"),
                Condition.key,
                Condition.method,
                Condition.direction_method.label("direction"),
                Condition.strength,
                Condition.matched_cost,
                Condition.reached,
                Condition.control,
            )
            .join(Checkpoint, Condition.checkpoint_id == Checkpoint.id)
            .where(
                Checkpoint.study_id == self.study_id,
                Checkpoint.id.in_(self.checkpoints["checkpoint"].tolist()),
            )
        )
        return self.frame(query)

    def by_arm(self, values: pd.DataFrame, prompt_column: str | None = None) -> ValuesByArm:
        """Column `value` of rows that have a checkpoint: [seeds], or [seeds, prompts] by `prompt_column`.

        Prompts are those that every arm has a row for; where rows repeat a place the mean counts. Of an arm
        the seeds up to the first without a row, so that arrays of one length are of the same seeds.
        """
        checkpoints = self.checkpoints
        has_rows = checkpoints["checkpoint"].isin(values["checkpoint"]).astype(int)
        is_before_gap = has_rows.groupby([checkpoints["kind"], checkpoints["share"]]).cummin() == 1
        joined = values.merge(checkpoints[is_before_gap], on="checkpoint")
        if joined.empty:
            return {}
        if prompt_column is None:
            seed_means = joined.groupby(["kind", "share", "seed"], sort=True)["value"].mean()
            return _split(seed_means.to_frame(), flat=True)
        places = joined.groupby(["kind", "share", "seed", prompt_column])["value"]
        in_every_arm = places.size().unstack().notna().all()
        by_prompt = places.mean().unstack().sort_index().loc[:, in_every_arm]
        if by_prompt.shape[1] == 0:
            return {}
        return _split(by_prompt)

    @cached_property
    def scopes(self) -> pd.DataFrame:
        """A row per prompt set and scorer with metrics, the largest set first; `prompts`: how many it has."""
        prompt_counts = select(Prompt.prompt_set_id, func.count().label("prompts"))
        sizes = prompt_counts.group_by(Prompt.prompt_set_id).subquery()
        query = (
            select(
                PromptSet.name.label("prompt_set"),
                sizes.c.prompts,
                Scorer.name.label("scorer"),
                Scorer.measures,
            )
            .select_from(Metric)
            .join(PromptSet, Metric.prompt_set_id == PromptSet.id)
            .join(sizes, sizes.c.prompt_set_id == PromptSet.id)
            .join(Scorer, Metric.scorer_id == Scorer.id)
            .where(PromptSet.study_id == self.study_id)
            .distinct()
        )
        scopes = self.frame(query).drop_duplicates(["prompt_set", "scorer"])
        return scopes.sort_values(["prompts", "prompt_set", "scorer"], ascending=[False, True, True])

    def grids(self, condition_key: str, prompt_set: str, scorer: str) -> ValuesByArm:
        """Scores (0 to 1) under a condition, mean over samples: arm to [seeds, prompts]."""
        scope = (condition_key, prompt_set, scorer)
        if scope not in self._grids:
            self._grids[scope] = self._read_grids(*scope)
        return self._grids[scope]

    def grids_like(self, condition_key: str, other: str, *, prompt_set: str, scorer: str) -> ValuesByArm:
        """As `grids`, on the prompts alone that the condition `other` has texts of, which may be fewer."""
        values, fewer = (self.grids(key, prompt_set, scorer) for key in (condition_key, other))
        if all(values[arm].shape[1] == fewer[arm].shape[1] for arm in values if arm in fewer):
            return values
        scope = (f"{condition_key} like {other}", prompt_set, scorer)
        if scope not in self._grids:
            scores, others = (self._prompt_scores(key, prompt_set, scorer) for key in (condition_key, other))
            in_both = scores[scores["prompt"].isin(others["prompt"])]
            self._grids[scope] = self.by_arm(in_both, prompt_column="prompt")
        return self._grids[scope]

    def _read_grids(self, condition_key: str, prompt_set: str, scorer: str) -> ValuesByArm:
        """As `grids`."""
        return self.by_arm(self._prompt_scores(condition_key, prompt_set, scorer), prompt_column="prompt")

    def _prompt_scores(self, condition_key: str, prompt_set: str, scorer: str) -> pd.DataFrame:
        """A row per checkpoint and prompt: value, the mean over samples.

        `newest`: each text with its newest score; `complete`: checkpoints with all prompts.
        Their texts all have a score or are empty; a prompt whose texts are all empty has no value.
        """
        conditions = self.conditions[self.conditions["key"] == condition_key]
        condition_ids = [int(number) for number in conditions["condition"]]
        # Where a text was scored again by another revision, the newest one counts.
        newest = (
            select(Score.generation_id, func.max(Score.scorer_id).label("scorer_id"))
            .join(Scorer, Score.scorer_id == Scorer.id)
            .join(Generation, Score.generation_id == Generation.id)
            .where(Scorer.name == scorer, Generation.condition_id.in_(condition_ids), USUAL_SAMPLE)
            .group_by(Score.generation_id)
            .subquery()
        )
        query = (
            select(
                Condition.checkpoint_id.label("checkpoint"),
                Generation.prompt_id.label("prompt"),
                Score.value,
                case((Score.value.is_(None), Generation.text)).label("unscored"),
            )
            .join(Generation, Generation.condition_id == Condition.id)
            .outerjoin(newest, newest.c.generation_id == Generation.id)
            .outerjoin(
                Score,
                (Score.generation_id == Generation.id) & (Score.scorer_id == newest.c.scorer_id),
            )
            .join(Prompt, Generation.prompt_id == Prompt.id)
            .join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
            .where(PromptSet.name == prompt_set, Generation.condition_id.in_(condition_ids), USUAL_SAMPLE)
        )
        texts = self.frame(query)
        is_waiting = [isinstance(text, str) and not is_empty(text) for text in texts["unscored"]]
        counts = texts.groupby("checkpoint")["prompt"].nunique()
        complete = set(counts[counts == counts.max()].index) - set(texts.loc[is_waiting, "checkpoint"])
        complete &= set(texts.loc[texts["value"].notna(), "checkpoint"])
        in_complete = texts[texts["checkpoint"].isin(complete)]
        return in_complete.groupby(["checkpoint", "prompt"], as_index=False)[["value"]].mean()

    def metric(self, metric: str, condition_key: str = "none") -> ValuesByArm:
        """A metric that no prompt set belongs to (cost, cross_entropy, ...): arm to [seeds]."""
        query = (
            select(Metric.checkpoint_id.label("checkpoint"), Metric.value)
            .join(Condition, Metric.condition_id == Condition.id)
            .join(Checkpoint, Metric.checkpoint_id == Checkpoint.id)
            .where(
                Checkpoint.study_id == self.study_id,
                Metric.name == metric,
                Metric.prompt_set_id.is_(None),
                Condition.key == condition_key,
            )
        )
        return self.by_arm(self.frame(query))

    def metric_n(self, metric: str) -> int:
        """How many documents or prompts a metric of the unsteered models was taken over."""
        query = (
            select(func.max(Metric.n).label("n"))
            .join(Condition, Metric.condition_id == Condition.id)
            .join(Checkpoint, Metric.checkpoint_id == Checkpoint.id)
            .where(Checkpoint.study_id == self.study_id, Metric.name == metric, Condition.key == "none")
        )
        return int(self.frame(query)["n"].fillna(0).iloc[0])

    def capability(self, task_pattern: str) -> tuple[ValuesByArm, int]:
        """Unsteered accuracy, mean over tasks that match a SQL pattern: arm to [seeds]; how many items."""
        query = (
            select(
                CapabilityScore.checkpoint_id.label("checkpoint"), CapabilityScore.value, CapabilityScore.n
            )
            .join(Condition, CapabilityScore.condition_id == Condition.id)
            .join(Checkpoint, CapabilityScore.checkpoint_id == Checkpoint.id)
            .where(
                Checkpoint.study_id == self.study_id,
                CapabilityScore.task.like(task_pattern),
                CapabilityScore.part == "",
                CapabilityScore.measure == "accuracy",
                Condition.key == "none",
            )
        )
        scores = self.frame(query)
        items = int(scores.groupby("checkpoint")["n"].sum().max()) if len(scores) else 0
        return self.by_arm(scores), items

    @cached_property
    def probes(self) -> pd.DataFrame:
        """A row per probed head: checkpoint (its id), accuracy, shuffled (accuracy with shuffled labels),
        auroc, rank (1 is best, null: not selected), n (test statements).
        """
        query = (
            select(
                Probe.checkpoint_id.label("checkpoint"),
                Probe.accuracy,
                Probe.shuffled_accuracy.label("shuffled"),
                Probe.auroc,
                Probe.rank,
                Probe.n_test.label("n"),
            )
            .join(Checkpoint, Probe.checkpoint_id == Checkpoint.id)
            .where(Checkpoint.study_id == self.study_id, Checkpoint.arm_id.is_not(None))
        )
        return self.frame(query)


def _split(by_arm: pd.DataFrame, *, flat: bool = False) -> ValuesByArm:
    """An array for each arm of rows indexed by kind, share, seed; one column if `flat`, else one a prompt."""
    levels = by_arm.reset_index()[["kind", "share"]]
    values = by_arm.to_numpy(dtype=np.float64)
    values_by_arm = {}
    for (kind, share), places in groups(levels, ["kind", "share"]):
        part = values[places.index]
        values_by_arm[str(kind), float(share)] = part[:, 0] if flat else part
    return values_by_arm


def toxic_shares(arms: Iterable[ArmKey]) -> list[float]:
    """Shares of the toxic arms that are there, rising."""
    return sorted(share for kind, share in arms if kind == TOXIC)


def paper_dose(arms: Iterable[ArmKey]) -> float | None:
    """The share nearest to the paper's best, among those above 0 (of two as near, the smaller)."""
    doses = [share for share in toxic_shares(arms) if share > 0]
    return min(doses, key=lambda share: (round(abs(share - PAPERS_DOSE), 9), share)) if doses else None


class ImportedRows(StudyRows):
    """Reads of the imported checkpoints of a study, each an arm of its own: `imported:NAME`, share 0."""

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """As of arms, with seed 0."""
        query = (
            select(Checkpoint.id.label("checkpoint"), Checkpoint.name.label("kind"))
            .where(Checkpoint.study_id == self.study_id, Checkpoint.arm_id.is_(None))
            .order_by(Checkpoint.name)
        )
        rows = self.frame(query)
        return rows.assign(kind=IMPORTED + rows["kind"], share=0.0, seed=0)
