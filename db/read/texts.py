"""Queries about texts: prompt sets, prompts, generations, scores, their agreement, and labelled examples.

Pages fetch the texts of the rows they show and of no others.
"""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.orm import aliased

from db.engine import reading
from db.read.frame import Query, frame, frame_on, kinds_of
from db.schema import Checkpoint, Generation, Metric, Prompt, PromptSet, Score, Scorer

PAGE = 50


def prompt_sets(engine: Engine, study_id: int) -> pd.DataFrame:
    """Prompt sets with the number of their prompts: id, name, revision, source, prompts."""
    count = select(func.count()).where(Prompt.prompt_set_id == PromptSet.id).scalar_subquery()
    query = select(
        PromptSet.id, PromptSet.name, PromptSet.revision, PromptSet.source, count.label("prompts")
    ).where(PromptSet.study_id == study_id)
    return frame(engine, query.order_by(PromptSet.id))


def prompts(engine: Engine, prompt_set_id: int, page: int = 0, size: int = 200) -> pd.DataFrame:
    """One page of a prompt set in its order: id, position, text, kind, group."""
    query = (
        select(Prompt.id, Prompt.position, Prompt.text, Prompt.kind, Prompt.group)
        .where(Prompt.prompt_set_id == prompt_set_id)
        .order_by(Prompt.position)
        .limit(size)
        .offset(page * size)
    )
    return frame(engine, query)


def scorers(engine: Engine, study_id: int) -> pd.DataFrame:
    """Scorers that gave a study's metrics: id, name, revision, measures."""
    used = (
        select(Metric.scorer_id)
        .join(Checkpoint, Metric.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == study_id, Metric.scorer_id.is_not(None))
        .distinct()
    )
    query = select(Scorer.id, Scorer.name, Scorer.revision, Scorer.measures).where(Scorer.id.in_(used))
    return frame(engine, query.order_by(Scorer.measures.desc(), Scorer.name))


def generation_count(engine: Engine, condition_id: int, prompt_set_id: int) -> int:
    """How many generations a condition has on a prompt set; counted in the index."""
    query = select(func.count()).select_from(_chosen(condition_id, prompt_set_id).subquery())
    return int(reading(engine, lambda connection: connection.execute(query).scalar_one()))


def _chosen(condition_id: int, prompt_set_id: int) -> Query:
    return (
        select(Generation.id)
        .join(Prompt, Generation.prompt_id == Prompt.id)
        .where(Generation.condition_id == condition_id, Prompt.prompt_set_id == prompt_set_id)
    )


def generations(
    engine: Engine,
    condition_id: int,
    prompt_set_id: int,
    page: int = 0,
    size: int = PAGE,
    *,
    by_scorer: int | None = None,
) -> pd.DataFrame:
    """One page of generations with their scores, a column `score:NAME` for each scorer.

    In the order of prompts and samples, or the highest first by the scorer of id `by_scorer`. Columns:
    generation_id, prompt_id, position, prompt, kind, group, sample, text, tokens, finished.
    """
    chosen = _chosen(condition_id, prompt_set_id)
    if by_scorer is None:
        chosen = chosen.order_by(Prompt.position, Generation.sample)
    else:
        chosen = (
            chosen.join(Score, (Score.generation_id == Generation.id) & (Score.scorer_id == by_scorer))
        ).order_by(Score.value.desc(), Generation.id)
    chosen = chosen.limit(size).offset(page * size)

    def read(connection: Connection) -> pd.DataFrame:
        wanted = [row[0] for row in connection.execute(chosen)]
        query = select(
            Generation.id.label("generation_id"),
            Generation.prompt_id,
            Prompt.position,
            Prompt.text.label("prompt"),
            Prompt.kind,
            Prompt.group,
            Generation.sample,
            Generation.text,
            Generation.tokens,
            Generation.finished,
        )
        query = query.join(Prompt, Generation.prompt_id == Prompt.id).where(Generation.id.in_(wanted))
        found = frame_on(connection, query).set_index("generation_id", drop=False).reindex(wanted)
        found = found.reset_index(drop=True).astype(kinds_of(query))
        return _with_scores(connection, found, "generation_id", "score:")

    return reading(engine, read)


def _with_scores(connection: Connection, rows: pd.DataFrame, column: str, prefix: str) -> pd.DataFrame:
    wanted = [int(value) for value in rows[column].dropna()]
    query = (
        select(Score.generation_id, Scorer.name, Score.value)
        .join(Scorer, Score.scorer_id == Scorer.id)
        .where(Score.generation_id.in_(wanted))
    )
    found = frame_on(connection, query)
    for name in sorted(set(found["name"])):
        values = found[found["name"] == name].drop_duplicates("generation_id", keep="last")
        rows[f"{prefix}{name}"] = (
            rows[column].map(values.set_index("generation_id")["value"]).astype("float64")
        )
    return rows


def paired_generations(
    engine: Engine, before_id: int, after_id: int, prompt_set_id: int, page: int = 0, size: int = PAGE
) -> pd.DataFrame:
    """The same prompts and samples under two conditions, side by side; one page.

    Columns: prompt_id, position, prompt, kind, group, sample, before, after, and `before:NAME` and
    `after:NAME` for each scorer. Samples that only one condition has are left out.
    """
    before, after = aliased(Generation), aliased(Generation)
    query = (
        select(
            before.id.label("before_id"),
            after.id.label("after_id"),
            Prompt.id.label("prompt_id"),
            Prompt.position,
            Prompt.text.label("prompt"),
            Prompt.kind,
            Prompt.group,
            before.sample,
            before.text.label("before"),
            after.text.label("after"),
        )
        .select_from(Prompt)
        .join(before, (before.prompt_id == Prompt.id) & (before.condition_id == before_id))
        .join(
            after,
            (after.prompt_id == Prompt.id)
            & (after.condition_id == after_id)
            & (after.sample == before.sample),
        )
        .where(Prompt.prompt_set_id == prompt_set_id)
        .order_by(Prompt.position, before.sample)
        .limit(size)
        .offset(page * size)
    )

    def read(connection: Connection) -> pd.DataFrame:
        rows = _with_scores(connection, frame_on(connection, query), "before_id", "before:")
        return _with_scores(connection, rows, "after_id", "after:").drop(columns=["before_id", "after_id"])

    return reading(engine, read)


def paired_scores(
    engine: Engine, before_id: int, after_id: int, prompt_set_id: int, scorer_id: int
) -> pd.DataFrame:
    """Scores of the same prompts under two conditions, no texts: prompt_id, sample, before, after, change.

    For counting how many texts got worse (`change` above 0).
    """
    one, two = aliased(Generation), aliased(Generation)
    first, second = aliased(Score), aliased(Score)
    query = (
        select(
            one.prompt_id,
            one.sample,
            first.value.label("before"),
            second.value.label("after"),
            (second.value - first.value).label("change"),
        )
        .select_from(Prompt)
        .join(one, (one.prompt_id == Prompt.id) & (one.condition_id == before_id))
        .join(two, (two.prompt_id == Prompt.id) & (two.condition_id == after_id) & (two.sample == one.sample))
        .join(first, (first.generation_id == one.id) & (first.scorer_id == scorer_id))
        .join(second, (second.generation_id == two.id) & (second.scorer_id == scorer_id))
        .where(Prompt.prompt_set_id == prompt_set_id)
        .order_by(Prompt.position, one.sample)
    )
    return frame(engine, query)
