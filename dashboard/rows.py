"""Rows for the pages: the queries of `db.read`, cached until what they read changes.

Every cached function takes the database's URL and the part of its change token that concerns it, so rows that
did not change are not read twice and those that did are never shown stale. What is read once serves every
viewer. Problems come out as DatabaseProblem, one sentence.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboard.progress import Progress, summarise
from dashboard.reading import change_token as change_token
from dashboard.reading import engine as engine
from dashboard.reading import kept as kept
from db import read

if TYPE_CHECKING:
    from dashboard.context import Context

_PROGRESS = {"train_points", "score_counts", "scorer_agreement"}
_PROGRESS |= {"change_counts", "changed_pairs", "pair_texts"}
"""Queries whose rows also come while a stage runs; those of all others come when one ends."""


def studies(url: str, token: str) -> pd.DataFrame:
    """Every study, newest first, with config and data_revisions as dicts."""
    return _studies(url, read.changed_part(token))


@kept(16)
def _studies(url: str, token: str) -> pd.DataFrame:
    found = read.studies(engine(url))
    details = [read.study(engine(url), int(number)).iloc[0] for number in found["id"]]
    return found.assign(
        config=[row["config"] for row in details], data_revisions=[row["data_revisions"] for row in details]
    )


def stages_now(url: str, study_id: int) -> pd.DataFrame:
    """Stage rows as they are now, at most a second old; for what redraws itself between runs of the page."""
    return _of_study(url, change_token(url), "stage_runs", study_id)


@kept(64)
def _of_study(url: str, token: str, query: str, study_id: int) -> pd.DataFrame:
    found: pd.DataFrame = getattr(read, query)(engine(url), study_id)
    return _named(found)


def _named(found: pd.DataFrame) -> pd.DataFrame:
    """Imported checkpoints have no arm; they get the kind `imported`."""
    if "kind" in found and "checkpoint" in found:
        found = found.assign(kind=found["kind"].astype(object).where(found["kind"].notna(), "imported"))
    return found


def _ours(found: Context, query: str) -> pd.DataFrame:
    """A query that takes the study's id alone."""
    token = read.changed_part(found.token, progress=query in _PROGRESS)
    return _of_study(found.url, token, query, found.study_id)


def stages(found: Context) -> pd.DataFrame:
    """All stage rows of the study on show."""
    return _of_study(found.url, found.token, "stage_runs", found.study_id)


@st.cache_resource(ttl=2.0, max_entries=64, show_spinner=False)
def _progress(url: str, token: str, study_id: int) -> Progress:
    return summarise(_of_study(url, token, "stage_runs", study_id), datetime.now(UTC))


def study_progress(found: Context) -> Progress:
    """How far the study is; a silence is noticed within two seconds."""
    return _progress(found.url, found.token, found.study_id)


def arms(found: Context) -> pd.DataFrame:
    """Arms with their token counts."""
    return _ours(found, "arms")


def train_points(found: Context) -> pd.DataFrame:
    """Training curves of every arm, thinned."""
    return _ours(found, "train_points")


@kept(32)
def _pooled(
    url: str, token: str, study_id: int, name: str | None, prompts: str | None, scorer: str | None
) -> pd.DataFrame:
    found = read.summaries(engine(url), study_id, name=name, prompt_set=prompts, scorer=scorer)
    return pool_controls(found)


def summaries(
    found: Context, *, name: str | None = None, prompts: str | None = None, scorer: str | None = None
) -> pd.DataFrame:
    """Metrics over seeds, or one of them for one prompt set and scorer; random directions are pooled."""
    return _pooled(found.url, read.changed_part(found.token), found.study_id, name, prompts, scorer)


def summary_choices(found: Context) -> pd.DataFrame:
    """What there are metrics of: name, prompt_set, scorer, kind and n."""
    return _ours(found, "summary_choices")


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
    return _ours(found, "verdicts")


def dose_fits(found: Context) -> pd.DataFrame:
    """Stored fits of toxicity over the share."""
    return _ours(found, "dose_fits")


def checkpoints(found: Context) -> pd.DataFrame:
    """Checkpoints with kind, share and seed of their arm."""
    table = _ours(found, "checkpoints")
    return table.assign(kind=table["kind"].astype(object).where(table["kind"].notna(), "imported"))


@kept(8)
def _probes(url: str, token: str, study_id: int, position: str) -> pd.DataFrame:
    return _named(read.study_probes(engine(url), study_id, position))


def probes(found: Context) -> pd.DataFrame:
    """One row per head and checkpoint, with selectivity; the study's own probing position."""
    position = str((found.config.get("probe") or {}).get("position", "last"))
    return _probes(found.url, read.changed_part(found.token), found.study_id, position)


def projections(found: Context) -> pd.DataFrame:
    """Stored projections."""
    return _ours(found, "projections")


@kept(16)
def _points(url: str, token: str, projection_id: int) -> pd.DataFrame:
    return _named(read.projection_points(engine(url), projection_id))


def points(found: Context, projection_id: int) -> pd.DataFrame:
    """Points of one projection, at most 15,000."""
    return _points(found.url, read.changed_part(found.token), projection_id)


@kept(16)
def _example_texts(url: str, token: str, ids: tuple[int, ...]) -> pd.DataFrame:
    return read.examples_by_id(engine(url), list(ids))


def example_texts(found: Context, ids: list[int]) -> pd.DataFrame:
    """Statements of the probe set by id, in that order."""
    return _example_texts(found.url, read.changed_part(found.token), tuple(ids))


def prompt_sets(found: Context) -> pd.DataFrame:
    """Prompt sets with their sizes."""
    return _ours(found, "prompt_sets")


def probe_sets(found: Context) -> pd.DataFrame:
    """Probe sets with their sizes."""
    return _ours(found, "probe_sets")


def scorers(found: Context) -> pd.DataFrame:
    """Scorers the study used, with revisions."""
    return _ours(found, "scorers")


def composition(found: Context) -> pd.DataFrame:
    """Sources of every mix."""
    return _ours(found, "composition")


@kept(128)
def _call(
    url: str, token: str, query: str, numbers: tuple[int, ...], options: tuple[tuple[str, Any], ...]
) -> pd.DataFrame:
    found: pd.DataFrame = getattr(read, query)(engine(url), *numbers, **dict(options))
    return found


def call(found: Context, query: str, *numbers: int, **options: Any) -> pd.DataFrame:
    """Any query of `db.read` by name, cached; numbers are ids, page and size."""
    token = read.changed_part(found.token, progress=query in _PROGRESS)
    return _call(found.url, token, query, numbers, tuple(sorted(options.items())))


def prompts(found: Context, most: int) -> pd.DataFrame:
    """The first prompts of the study's first prompt set."""
    sets = prompt_sets(found)
    return pd.DataFrame() if sets.empty else call(found, "prompts", int(sets["id"].iloc[0]), 0, most)
