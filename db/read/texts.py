"""Queries about prompt sets, their prompts, what was said to them, and the scorers that judged it."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine, select, union_all

from hormesis.db.contract.left_out import is_left_out
from hormesis.db.contract.scorer_training import overlap, training_of
from hormesis.db.read.columns import sets_with_counts, study_rows
from hormesis.db.read.frame import frame
from hormesis.db.read.sources import source_uses
from hormesis.db.schema import (
    USUAL_SAMPLE,
    Checkpoint,
    Example,
    Generation,
    Metric,
    ProbeSet,
    Prompt,
    PromptSet,
    Score,
    Scorer,
    ScorerGroup,
)


def prompt_sets(engine: Engine, study_id: int) -> pd.DataFrame:
    """Prompt sets with the number of their prompts: id, name, revision, source, prompts."""
    return sets_with_counts(engine, PromptSet, study_id, member=Prompt.prompt_set_id, name="prompts")


def prompts(engine: Engine, prompt_set_id: int, page: int = 0, *, size: int = 200) -> pd.DataFrame:
    """One page of a prompt set in its order: id, position, text, kind, group."""
    query = (
        select(Prompt.id, Prompt.position, Prompt.text, Prompt.kind, Prompt.group)
        .where(Prompt.prompt_set_id == prompt_set_id)
        .order_by(Prompt.position)
        .limit(size)
        .offset(page * size)
    )
    return frame(engine, query)


def left_out_texts(engine: Engine, study_id: int) -> pd.DataFrame:
    """A row where texts were left out of this file when it was copied, none where they are there: text."""
    prompt = select(Prompt.text).join(PromptSet).where(PromptSet.study_id == study_id).limit(1)
    statement = select(Example.text).join(ProbeSet).where(ProbeSet.study_id == study_id).limit(1)
    first_texts = union_all(select(prompt.subquery()), select(statement.subquery())).subquery()
    rows = frame(engine, select(first_texts.c.text))
    return rows[rows["text"].map(is_left_out).astype(bool)].head(1)


def left_out_weights(engine: Engine, study_id: int) -> pd.DataFrame:
    """Checkpoints whose weights were left out of this file when it was copied: name."""
    rows = frame(engine, select(Checkpoint.name, Checkpoint.path).where(Checkpoint.study_id == study_id))
    return rows[rows["path"].map(is_left_out).astype(bool)][["name"]]


def scorers(engine: Engine, study_id: int) -> pd.DataFrame:
    """Scorers that gave a study's metrics: id, name, revision, measures, and their independence in words.

    Columns of words: trained_on, overlap (with this study's sources; empty for none), note.
    """
    used_ids = (
        select(Metric.scorer_id)
        .join(Checkpoint, Metric.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.study_id == study_id, Metric.scorer_id.is_not(None))
        .distinct()
    )
    columns = (Scorer.id, Scorer.name, Scorer.revision, Scorer.measures, Scorer.trained_on)
    query = select(*columns).where(Scorer.id.in_(used_ids))
    rows = frame(engine, query.order_by(Scorer.measures.desc(), Scorer.name))
    trainings = [
        training_of(str(name), stored) for name, stored in zip(rows["name"], rows["trained_on"], strict=True)
    ]
    uses = [
        {str(key): value for key, value in use.items()}
        for use in source_uses(engine, study_id).to_dict("records")
    ]
    words = {
        "trained_on": [training.text for training in trainings],
        "overlap": [overlap(training, uses) for training in trainings],
        "note": [training.note for training in trainings],
    }
    # A table without rows keeps its types.
    return rows.assign(**words).astype(dict.fromkeys(words, "str"))


def scorer_groups(engine: Engine, study_id: int) -> pd.DataFrame:
    """How each scorer judges harmless statements by group: all columns of `scorer_group` but its keys."""
    return frame(engine, study_rows(ScorerGroup, study_id).order_by(ScorerGroup.id))


def generations(engine: Engine, condition_id: int, prompt_set_id: int, *, scorer_id: int) -> pd.DataFrame:
    """What a model said to a prompt set under a condition, in the order of prompts and samples.

    Columns: prompt, text, sample, tokens, finished, score (missing where the scorer gave none).
    """
    query = (
        select(Prompt.text.label("prompt"), Generation.text, Generation.sample)
        .add_columns(Generation.tokens, Generation.finished, Score.value.label("score"))
        .select_from(Prompt)
        .join(Generation, (Generation.prompt_id == Prompt.id) & (Generation.condition_id == condition_id))
        .outerjoin(Score, (Score.generation_id == Generation.id) & (Score.scorer_id == scorer_id))
        .where(Prompt.prompt_set_id == prompt_set_id, USUAL_SAMPLE)
        .order_by(Prompt.position, Generation.sample)
    )
    return frame(engine, query)
