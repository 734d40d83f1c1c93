"""Rows for the pages: the queries of `db.read`, cached until the database changes.

Every cached function takes the database's URL and its change token, so an unchanged database is not asked
twice and a changed one is never shown stale. Problems come out as DatabaseProblem, one sentence.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st
from sqlalchemy import Engine

from dashboard.progress import Progress, summarise
from dashboard.records import records
from db import read
from db.engine import open_reader
from db.problems import DatabaseProblem

if TYPE_CHECKING:
    from dashboard.context import Context

PATIENCE = 3.0
"""Seconds a page waits for a busy database before it says so."""


@st.cache_resource(max_entries=4, show_spinner=False)
def engine(url: str) -> Engine:
    """The reading engine of a database, checked once; dropped by `change_token` when a problem shows."""
    return open_reader(url, wait=PATIENCE)


@st.cache_data(ttl=1.0, max_entries=8, show_spinner=False)
def change_token(url: str) -> str:
    """Changes whenever rows do; names the problem where the database cannot be read. Never raises."""
    try:
        return read.latest_change(engine(url))
    except DatabaseProblem as problem:
        engine.clear()
        return f"problem {problem.kind}"


@st.cache_data(max_entries=16, show_spinner=False)
def studies(url: str, token: str) -> pd.DataFrame:
    """Every study, newest first, with config and data_revisions as dicts."""
    found = read.studies(engine(url))
    details = [read.study(engine(url), int(number)).iloc[0] for number in found["id"]]
    return found.assign(
        config=[row["config"] for row in details], data_revisions=[row["data_revisions"] for row in details]
    )


def stages_now(url: str, study_id: int) -> pd.DataFrame:
    """Stage rows as they are this moment; for the live progress alone."""
    return read.stage_runs(engine(url), study_id)


@st.cache_data(max_entries=32, show_spinner=False)
def _of_study(url: str, token: str, query: str, study_id: int) -> pd.DataFrame:
    found: pd.DataFrame = getattr(read, query)(engine(url), study_id)
    return _named(found)


def _named(found: pd.DataFrame) -> pd.DataFrame:
    """Imported checkpoints have no arm; they get the kind `imported`."""
    if "kind" in found and "checkpoint" in found:
        found = found.assign(kind=found["kind"].astype(object).where(found["kind"].notna(), "imported"))
    return found


def stages(found: Context) -> pd.DataFrame:
    """All stage rows of the study on show."""
    return _of_study(found.url, found.token, "stage_runs", found.study_id)


def study_progress(found: Context) -> Progress:
    """How far the study is."""
    return summarise(stages(found), datetime.now(UTC))


def arms(found: Context) -> pd.DataFrame:
    """Arms with their token counts."""
    return _of_study(found.url, found.token, "arms", found.study_id)


def train_points(found: Context) -> pd.DataFrame:
    """Training curves of every arm, thinned."""
    return _of_study(found.url, found.token, "train_points", found.study_id)


@st.cache_data(max_entries=8, show_spinner=False)
def _pooled(url: str, token: str, study_id: int) -> pd.DataFrame:
    return pool_controls(_of_study(url, token, "summaries", study_id))


def summaries(found: Context) -> pd.DataFrame:
    """All metrics over seeds; random directions pooled over their controls."""
    return _pooled(found.url, found.token, found.study_id)


def pool_controls(table: pd.DataFrame) -> pd.DataFrame:
    """One row per arm, setting and metric for random directions, however many controls were drawn.

    The pooled interval holds both the spread between directions and each direction's own interval.
    """
    random = table[table["method"] == "random-direction"]
    if random.empty:
        return table
    keys = ["kind", "share", "method", "matched_cost", "prompt_set", "scorer", "name", "unit"]
    if random["matched_cost"].isna().all():
        keys.append("strength")
    rows = []
    for _, group in random.groupby(keys, dropna=False, sort=False):
        first = group.iloc[0].to_dict()
        count = len(group)
        own = ((group["high"] - group["low"]) / 2) ** 2
        spread = float(group["value"].var(ddof=1)) * 1.96**2 if count > 1 else 0.0
        half = ((spread + float(own.mean())) / count) ** 0.5
        value = float(group["value"].mean())
        key = str(first["condition_key"])
        rows.append(
            first
            | {
                "condition_key": key if count == 1 else "random/" + key.split("/", 1)[-1],
                "value": value,
                "low": value - half,
                "high": value + half,
                "strength": float(group["strength"].mean()),
                "n": int(group["n"].sum()),
                "interval": f"{first['interval']}; over {count} random directions",
            }
        )
    pooled = pd.DataFrame(rows, columns=table.columns).astype(table.dtypes.to_dict())
    return pd.concat([table[table["method"] != "random-direction"], pooled], ignore_index=True)


def verdicts(found: Context) -> pd.DataFrame:
    """Stored verdicts of every prompt set and scorer."""
    return _of_study(found.url, found.token, "verdicts", found.study_id)


def dose_fits(found: Context) -> pd.DataFrame:
    """Stored fits of toxicity over the share."""
    return _of_study(found.url, found.token, "dose_fits", found.study_id)


def checkpoints(found: Context) -> pd.DataFrame:
    """Checkpoints with kind, share and seed of their arm."""
    table = _of_study(found.url, found.token, "checkpoints", found.study_id)
    return table.assign(kind=table["kind"].astype(object).where(table["kind"].notna(), "imported"))


@st.cache_data(max_entries=8, show_spinner=False)
def _probes(url: str, token: str, study_id: int, position: str) -> pd.DataFrame:
    made = read.checkpoints(engine(url), study_id)
    tables = []
    for row in records(made):
        table = read.probes(engine(url), int(row.id), position)
        if table.empty:
            continue
        table = table[table["probe_set_id"] == table["probe_set_id"].iloc[0]]
        kind = "imported" if pd.isna(row.kind) else str(row.kind)
        tables.append(table.assign(checkpoint=str(row.name), kind=kind, share=row.share, seed=row.seed))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def probes(found: Context) -> pd.DataFrame:
    """One row per head and checkpoint, with selectivity; the study's own probing position."""
    position = str((found.config.get("probe") or {}).get("position", "last"))
    return _probes(found.url, found.token, found.study_id, position)


def projections(found: Context) -> pd.DataFrame:
    """Stored projections."""
    return _of_study(found.url, found.token, "projections", found.study_id)


@st.cache_data(max_entries=16, show_spinner=False)
def _points(url: str, token: str, projection_id: int) -> pd.DataFrame:
    return _named(read.projection_points(engine(url), projection_id))


def points(found: Context, projection_id: int) -> pd.DataFrame:
    """Points of one projection, at most 15,000."""
    return _points(found.url, found.token, projection_id)


@st.cache_data(max_entries=16, show_spinner=False)
def _example_texts(url: str, token: str, ids: tuple[int, ...]) -> pd.DataFrame:
    return read.examples_by_id(engine(url), list(ids))


def example_texts(found: Context, ids: list[int]) -> pd.DataFrame:
    """Statements of the probe set by id, in that order."""
    return _example_texts(found.url, found.token, tuple(ids))


def prompt_sets(found: Context) -> pd.DataFrame:
    """Prompt sets with their sizes."""
    return _of_study(found.url, found.token, "prompt_sets", found.study_id)


def probe_sets(found: Context) -> pd.DataFrame:
    """Probe sets with their sizes."""
    return _of_study(found.url, found.token, "probe_sets", found.study_id)


def scorers(found: Context) -> pd.DataFrame:
    """Scorers the study used, with revisions."""
    return _of_study(found.url, found.token, "scorers", found.study_id)


def composition(found: Context) -> pd.DataFrame:
    """Sources of every mix."""
    return _of_study(found.url, found.token, "composition", found.study_id)


@st.cache_data(max_entries=64, show_spinner=False)
def _call(
    url: str, token: str, query: str, numbers: tuple[int, ...], options: tuple[tuple[str, Any], ...]
) -> Any:
    return getattr(read, query)(engine(url), *numbers, **dict(options))


def call(found: Context, query: str, *numbers: int, **options: Any) -> pd.DataFrame:
    """Any query of `db.read` by name, cached; numbers are ids, page and size."""
    table: pd.DataFrame = _call(found.url, found.token, query, numbers, tuple(sorted(options.items())))
    return table


def prompts(found: Context, most: int) -> pd.DataFrame:
    """The first prompts of the study's first prompt set."""
    sets = prompt_sets(found)
    return pd.DataFrame() if sets.empty else call(found, "prompts", int(sets["id"].iloc[0]), 0, most)
