"""Rows for the pages: the queries of `db.read`, cached until what they read changes.

A cached query is asked with a database, that of a study with its context. Problems come out as
DatabaseProblem, one sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from typing import Concatenate, ParamSpec

import pandas as pd
import streamlit as st
from sqlalchemy import Engine

from hormesis.dashboard.base.progress import Progress, summarise
from hormesis.dashboard.rows.cache import Database, Refresh, cached_query, change_token
from hormesis.dashboard.rows.context import Context
from hormesis.db import read

P = ParamSpec("P")


def study_query(
    query: Callable[Concatenate[Engine, int, P], pd.DataFrame],
    *,
    refresh: Refresh = Refresh.RESULTS,
    most: int = 16,
) -> Callable[Concatenate[Context, P], pd.DataFrame]:
    """The query of a study's id, asked with the context the study is on show in; `most` frames are stored."""
    rows = cached_query(query, refresh=refresh, most=most)

    @wraps(query)
    def of_study(context: Context, /, *args: P.args, **options: P.kwargs) -> pd.DataFrame:
        return rows(context, context.study_id, *args, **options)

    return of_study


studies = cached_query(read.studies_with_config)
stages = study_query(read.stage_runs, refresh=Refresh.BEAT)
arms = study_query(read.arms)
checkpoints = study_query(read.arm_checkpoints)
composition = study_query(read.composition)
source_uses = study_query(read.source_uses)
source_overlaps = study_query(read.source_overlaps)
train_points = study_query(read.train_points, refresh=Refresh.PROGRESS)

summaries = study_query(read.summaries, most=32)
summary_choices = study_query(read.summary_choices)
summaries_with_cost = study_query(read.summaries_with_cost, most=32)
gates = study_query(read.gates)
verdicts = study_query(read.verdicts)
dose_fits = study_query(read.dose_fits)
null_effects = study_query(read.null_effects)
checkpoint_metrics = cached_query(read.checkpoint_metrics, most=64)
number_chain = cached_query(read.number_chain, most=64)

projections = study_query(read.projections)
projection_points = cached_query(read.arm_points)
examples_by_id = cached_query(read.examples_by_id)

left_out_texts = study_query(read.left_out_texts)
left_out_weights = study_query(read.left_out_weights)
prompt_sets = study_query(read.prompt_sets)
prompts = cached_query(read.prompts)
probe_sets = study_query(read.probe_sets)
example_counts = cached_query(read.example_counts)
examples = cached_query(read.examples, most=64)
scorers = study_query(read.scorers)
scorer_groups = study_query(read.scorer_groups)
search_generations = study_query(read.search_generations, refresh=Refresh.PROGRESS, most=32)
study_conditions = study_query(read.study_conditions)
unsteered_conditions = study_query(read.unsteered_conditions)
score_histogram = study_query(read.score_histogram, refresh=Refresh.PROGRESS)
scorer_agreement = cached_query(read.scorer_agreement, refresh=Refresh.PROGRESS)

_prompt_groups = study_query(read.prompt_groups)
_probes = study_query(read.arm_probes, most=8)


def probes(context: Context) -> pd.DataFrame:
    """One row per head and checkpoint, with selectivity; the study's own probing position."""
    return _probes(context, context.position)


def prompt_groups(context: Context, prompt_set: str) -> list[str]:
    """Kinds of the prompts of a set, sorted."""
    groups = _prompt_groups(context, prompt_set)
    return [str(group) for group in groups["group"]]


def first_prompts(context: Context, most: int) -> pd.DataFrame:
    """The first prompts (rows) of the study's first prompt set, at most `most`; none without texts."""
    sets = prompt_sets(context)
    if sets.empty or len(left_out_texts(context)):
        return pd.DataFrame()
    return prompts(context, int(sets["id"].iloc[0]), size=most)


_prompt_falls = study_query(read.prompt_falls)


def prompt_falls(context: Context) -> pd.DataFrame:
    """How far steering at matched costs lowers toxicity on the prompts (rows) of the study's first set.

    By its first scorer; empty before there is anything to compare, and where texts were left out of the file.
    """
    sets, judges = prompt_sets(context), scorers(context)
    judges = judges[judges["measures"] == "toxicity"]
    if sets.empty or judges.empty or len(left_out_texts(context)):
        return pd.DataFrame()
    scorer_id, set_id = int(judges["id"].iloc[0]), int(sets["id"].iloc[0])
    return _prompt_falls(context, prompt_set_id=set_id, scorer_id=scorer_id)


def stages_now(context: Context) -> pd.DataFrame:
    """Stage rows as they are now, a second old or more where many look; for what redraws itself."""
    return stages(replace(context, token=change_token(context.url)))


@st.cache_resource(ttl=2.0, max_entries=64, show_spinner=False)
def _progress(url: str, token: str, study_id: int) -> Progress:
    return summarise(_stage_runs(Database(url, token), study_id), datetime.now(UTC))


_stage_runs = cached_query(read.stage_runs, refresh=Refresh.BEAT)


def study_progress(context: Context) -> Progress:
    """How far the study is; a silence is noticed within two seconds."""
    return _progress(context.url, context.token, context.study_id)
