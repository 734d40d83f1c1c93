"""How every scorer judges statements and prompts that are not toxic, by the group that they mention."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sqlalchemy import select

from hormesis.backend.scorers import Scorer, ScorerError, make_scorer, scorer_entry
from hormesis.db.contract.left_out import is_left_out
from hormesis.db.schema import Example, ProbeSet, Prompt, PromptSet, ScorerGroup
from hormesis.db.write import read_session, replace_rows, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.sources.forum import TOPIC
from hormesis.pipeline.statistics.frames import groups
from hormesis.pipeline.statistics.group_rates import group_rates
from hormesis.pipeline.text.study_folder import text_folder

log = logging.getLogger(__name__)
MOST_STATEMENTS = 3000
"""Of a probe set, as many of each group, those with the smallest hashes; a minute of a classifier."""
FEWEST = 10
"""Statements that a group has at least; a group of fewer is a pair or a text, or tells nothing."""
NO_GROUP = "no group"
HARMLESS = ("neutral", "0")
"""Kinds of prompts that are not toxic: of the forum language, and ToxiGen's labels."""
CHUNK = 256
"""Statements scored between two looks whether the person asked for a stop."""


class Judge(NamedTuple):
    """Name and revision of a scorer."""

    name: str
    revision: str


def summarise_scorers(context: StudyContext, reporter: Reporter) -> None:
    """Write the rows of every probe set that names groups and every scorer that asks no service.

    The study's own scorer has not read these statements. A scorer that cannot be had is passed over with a
    warning, and its rows stay. Where the texts were left out of a copy, the rows that came with it stay.
    """
    scorers: list[Scorer] = []
    absent: list[str] = []
    statements = _statements(context)
    if len(statements) and statements["text"].map(is_left_out).all():
        return
    sets = list(groups(_of_groups(statements), "probe_set"))
    for name in context.config.evaluation.scorers if sets else ():
        if not scorer_entry(name).is_service:
            try:
                scorers.append(make_scorer(name, text_folder(context) / "tfidf"))
            except ScorerError as error:
                log.warning("statements by group are not scored by %s: %s", name, error)
                absent.append(name)
    rows = []
    for probe_set, statements in sets:
        for scorer in scorers:
            reporter.say(f"groups by {scorer.name}")
            texts, scores = statements["text"].tolist(), []
            for start in range(0, len(texts), CHUNK):
                reporter.check()
                scores += scorer.score(texts[start : start + CHUNK]).tolist()
            judge, names = Judge(scorer.name, scorer.revision), statements["group"].tolist()
            rows += group_rows(context.study_id, str(probe_set), judge, scores=scores, names=names)
    within = [ScorerGroup.study_id == context.study_id, ScorerGroup.scorer.not_in(absent)]
    with write_session(context.engine) as session:
        replace_rows(session, ScorerGroup, rows, on=("study_id", "key"), within=within)


def _statements(context: StudyContext) -> pd.DataFrame:
    """Statements that are not toxic, then prompts: probe_set (of prompts the name of theirs), text, group."""
    statements = (
        select(ProbeSet.name.label("probe_set"), Example.text, Example.group)
        .join(ProbeSet, Example.probe_set_id == ProbeSet.id)
        .where(ProbeSet.study_id == context.study_id, Example.label == 0)
        .order_by(ProbeSet.name, Example.key)
    )
    prompts = (
        select(PromptSet.name.concat(" (prompts)").label("probe_set"), Prompt.text, Prompt.group)
        .join(PromptSet, Prompt.prompt_set_id == PromptSet.id)
        .where(PromptSet.study_id == context.study_id, Prompt.kind.in_(HARMLESS))
        .order_by(PromptSet.name, Prompt.position)
    )
    with read_session(context.engine) as session:
        parts = [pd.read_sql(query, session.connection()) for query in (statements, prompts)]
    return pd.concat(parts, ignore_index=True)


def _of_groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of `_statements` with their text, of sets with two groups of FEWEST or more."""
    rows = rows[~rows["text"].map(is_left_out).astype(bool)]
    is_group = rows["group"].notna() & ~rows["group"].fillna("").str.startswith(TOPIC)
    rows = rows.assign(group=rows["group"].where(is_group, NO_GROUP))
    keys = ["probe_set", "group"]
    rows = rows[rows.groupby(keys)["text"].transform("size") >= FEWEST]
    n_groups = rows.groupby("probe_set")["group"].transform("nunique")
    rows, n_groups = rows[n_groups > 1], n_groups[n_groups > 1]
    most = (MOST_STATEMENTS // n_groups).clip(lower=FEWEST)
    return rows[rows.groupby(keys).cumcount() < most]


def group_rows(
    study_id: int, probe_set: str, judge: Judge, *, scores: ArrayLike, names: Sequence[str]
) -> list[dict[str, Any]]:
    """A row per group; `scores` [n] of statements that are not toxic, `names` [n] of their groups."""
    by_group = group_rates(np.asarray(scores), names, unit="statements")
    null = dict(zip(("null_low", "null_median", "null_high"), by_group.null or (None,) * 3, strict=True))
    rows = []
    for of_group in by_group.groups:
        estimates = {"rate": of_group.rate, "score": of_group.score, "ratio": of_group.ratio}
        numbers = {
            name + suffix: estimate and getattr(estimate, end)
            for name, estimate in estimates.items()
            for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high"))
        }
        methods = [f"{name}: {estimate.method}" for name, estimate in estimates.items() if estimate]
        key = {"probe_set": probe_set, "scorer": judge.name, "group": of_group.group}
        row = {"study_id": study_id, "key": "|".join(key.values()), **key, "revision": judge.revision}
        row |= {"n": of_group.rate.n, **numbers, **null, "p": of_group.p, "interval": "; ".join(methods)}
        rows.append(row)
    return rows
