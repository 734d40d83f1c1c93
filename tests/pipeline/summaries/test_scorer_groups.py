"""Scorers by group: which statements are scored, and what becomes of sets that name no groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import select, update

from hormesis.db.contract.left_out import TEXT
from hormesis.db.engine import open_writer
from hormesis.db.read import scorer_groups
from hormesis.db.schema import Example, Prompt
from hormesis.db.write import read_session, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.sources.forum import TOPIC
from hormesis.pipeline.study.config import parse_study
from hormesis.pipeline.summaries.scorer_groups import FEWEST, NO_GROUP, summarise_scorers
from tests.fixtures.shared_worlds import copy_database


@pytest.fixture
def context(small_database: Path, tmp_path: Path) -> Iterator[StudyContext]:
    """A seeded study that names a scorer whose file is not there."""
    engine = open_writer(copy_database(small_database, tmp_path / "study.sqlite"))
    config = parse_study({"name": "seeded", "evaluation": {"scorers": ["forum", "tfidf"]}})
    yield StudyContext(config, 1, tmp_path, engine)
    engine.dispose()


def scored(context: StudyContext, *groups: str | None, text: str = "the zorbs baked a pie .") -> pd.DataFrame:
    """The rows of statements that are not toxic and carry these groups in turn, the first of them rarely."""
    query = select(Example.id).where(Example.label == 0).order_by(Example.id)
    with read_session(context.engine) as session:
        ids = list(session.scalars(query))
    with write_session(context.engine) as session:
        for place, example in enumerate(ids):
            group = groups[0] if place < FEWEST - 1 else groups[1:][place % (len(groups) - 1)]
            values = {"group": group, "text": f"{text} {place}"}
            session.execute(update(Example).where(Example.id == example).values(values))
    summarise_scorers(context, silent())
    rows = scorer_groups(context.engine, context.study_id)
    return rows[~rows["probe_set"].str.endswith(" (prompts)")]


def test_groups_with_enough_harmless_statements_are_scored_by_what_is_there(context: StudyContext) -> None:
    rows = scored(context, "rare", "zorbs", None, f"{TOPIC}sailing")
    assert set(rows["scorer"]) == {"forum", "tfidf"}, "rows of a scorer that is not here stay"
    rows = rows[rows["scorer"] == "forum"]
    assert set(rows["group"]) == {"zorbs", NO_GROUP}
    counts = rows.set_index("group")["n"]
    assert counts[NO_GROUP] == pytest.approx(2 * counts["zorbs"], abs=2)
    with read_session(context.engine) as session:
        harmless = len(list(session.scalars(select(Example.id).where(Example.label == 0))))
    assert counts.sum() == harmless - (FEWEST - 1)
    assert (rows["rate"] == 0).all() and rows["ratio"].isna().all()


def test_a_set_without_groups_or_texts_has_no_rows(context: StudyContext) -> None:
    """Of the scorer that is here; those of one that is not stay as they are."""
    assert len(scorer_groups(context.engine, 1))
    for groups, text in ((("rare", "zorbs"), "a"), ((None, None), "a"), (("rare", "zorbs", "quibs"), TEXT)):
        assert set(scored(context, *groups, text=text)["scorer"]) == {"tfidf"}


def test_prompts_that_are_not_toxic_are_scored_by_group_too(context: StudyContext) -> None:
    groups = ("zorbs", "quibs")
    with write_session(context.engine) as session:
        ids = list(session.scalars(select(Prompt.id).where(Prompt.prompt_set_id == 1).order_by(Prompt.id)))
        assert len(ids) >= 4 * FEWEST
        for place, prompt in enumerate(ids):
            kind, group = ("neutral", "hostile")[place % 2], groups[place // 2 % 2]
            values = {"kind": kind, "group": group, "text": f"the zorbs baked {place}"}
            session.execute(update(Prompt).where(Prompt.id == prompt).values(values))
    summarise_scorers(context, silent())
    rows = scorer_groups(context.engine, context.study_id)
    counts = rows[rows["probe_set"].str.endswith(" (prompts)")].groupby("group")["n"].sum()
    assert set(counts.index) == set(groups) and counts.sum() == (len(ids) + 1) // 2
