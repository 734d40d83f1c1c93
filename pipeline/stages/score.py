"""Stage `score`: every scorer on every generation, then the metrics of each condition with intervals.

Scoring again with another revision adds rows and never touches the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import select

from hormesis.backend.fluency import set_fluency, text_fluency
from hormesis.backend.scorers import Scorer, make_scorer, score_continuations, scorer_entry
from hormesis.db.schema import Condition, Generation, Metric, Prompt, PromptSet, Score
from hormesis.db.schema import Scorer as ScorerRow
from hormesis.db.write import insert_missing, read_session, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.inputs import EVALUATION_VERSION
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.provenance import digest
from hormesis.pipeline.execution.stage import Stage, Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.stages.condition import NamedRow, metric_row
from hormesis.pipeline.stages.text import text_folder
from hormesis.pipeline.statistics import (
    Estimate,
    expected_maximum,
    fire_rate,
    mean_interval,
    paired_difference,
)
from hormesis.pipeline.statistics.frames import groups

CHUNK = 2048


def scorers_of(context: StudyContext) -> list[Scorer]:
    """The study's scorers, then the scorers of fluency that come with them."""
    scorer_names = context.config.evaluation.scorers
    fluency = [scorer_entry(name).fluency for name in scorer_names]
    folder = text_folder(context) / "tfidf"
    return [make_scorer(name, folder) for name in (*scorer_names, *filter(None, fluency))]


def score_checkpoint(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write scores and metrics. Raises ScorerError where a scorer cannot be used.

    `generations` and `missing` (no score yet) have a row per generation; `done` counts scores of all scorers.
    """
    checkpoint_id = checkpoint_id_of(context, subject.name)
    scorers = scorers_of(context)
    generations = _generations(context, checkpoint_id)
    scorer_ids = _scorer_ids(context, scorers)
    done = 0
    for scorer, scorer_id in zip(scorers, scorer_ids, strict=True):
        reporter.say(f"scoring by {scorer.name}")
        missing = generations[~generations["id"].isin(_scored(context, checkpoint_id, scorer_id))]
        done += len(generations) - len(missing)
        for start in range(0, len(missing), CHUNK):
            chunk = missing.iloc[start : start + CHUNK]
            values = score_continuations(scorer, chunk["prompt"].tolist(), chunk["text"].tolist())
            rows = [
                {"generation_id": int(generation), "scorer_id": scorer_id, "value": float(value)}
                for generation, value in zip(chunk["id"], values, strict=True)
            ]
            with write_session(context.engine) as session:
                upsert(session, Score, rows, on=("generation_id", "scorer_id"))
            done += len(chunk)
            reporter.report(done, len(generations) * len(scorers), "scores")
    reporter.say("metrics and intervals")
    _write_metrics(context, checkpoint_id, scorers, ids=scorer_ids, reporter=reporter)


def _generations(context: StudyContext, checkpoint_id: int) -> pd.DataFrame:
    """A row per generation of the checkpoint: its text, prompt, condition and sample number."""
    query = (
        select(
            Generation.id,
            Generation.text,
            Generation.sample,
            Generation.condition_id,
            Prompt.text.label("prompt"),
            Prompt.id.label("prompt_id"),
            Prompt.prompt_set_id,
        )
        .join(Condition, Generation.condition_id == Condition.id)
        .join(Prompt, Generation.prompt_id == Prompt.id)
        .where(Condition.checkpoint_id == checkpoint_id)
        .order_by(Generation.condition_id, Prompt.prompt_set_id, Prompt.position, Generation.sample)
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection())


def _scorer_ids(context: StudyContext, scorers: Sequence[Scorer]) -> list[int]:
    """Ids of the scorers' rows, in their order."""
    rows = [
        {"name": scorer.name, "revision": scorer.revision, "measures": scorer.measures} for scorer in scorers
    ]
    with write_session(context.engine) as session:
        insert_missing(session, ScorerRow, rows, on=("name", "revision"))
        return [
            session.execute(
                select(ScorerRow.id).where(
                    ScorerRow.name == scorer.name, ScorerRow.revision == scorer.revision
                )
            ).scalar_one()
            for scorer in scorers
        ]


def _scored(context: StudyContext, checkpoint_id: int, scorer_id: int) -> set[int]:
    """Ids of the checkpoint's generations that have a score by this scorer."""
    query = (
        select(Score.generation_id)
        .join(Generation, Score.generation_id == Generation.id)
        .join(Condition, Generation.condition_id == Condition.id)
        .where(Condition.checkpoint_id == checkpoint_id, Score.scorer_id == scorer_id)
    )
    with read_session(context.engine) as session:
        return set(session.scalars(query))


def _scores(context: StudyContext, checkpoint_id: int, scorer_id: int) -> pd.DataFrame:
    """A row per scored generation of the checkpoint: `id` of the generation, and the scorer's `value`."""
    query = (
        select(Score.generation_id.label("id"), Score.value)
        .join(Generation, Score.generation_id == Generation.id)
        .join(Condition, Generation.condition_id == Condition.id)
        .where(Condition.checkpoint_id == checkpoint_id, Score.scorer_id == scorer_id)
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection())


def _write_metrics(
    context: StudyContext, checkpoint_id: int, scorers: list[Scorer], *, ids: list[int], reporter: Reporter
) -> None:
    """Write metrics per condition, prompt set and scorer; `ids` of the scorers; grids [prompts, samples]."""
    generations = _generations(context, checkpoint_id)
    key_query = select(Condition.id, Condition.key).where(Condition.checkpoint_id == checkpoint_id)
    name_query = select(PromptSet.id, PromptSet.name).where(PromptSet.study_id == context.study_id)
    with read_session(context.engine) as session:
        condition_keys = dict(session.execute(key_query).tuples().all())
        set_names = dict(session.execute(name_query).tuples().all())
    rows: list[dict[str, Any]] = []
    draws = context.config.evaluation.bootstrap
    for scorer, scorer_id in zip(scorers, ids, strict=True):
        scored_texts = generations.merge(_scores(context, checkpoint_id, scorer_id), on="id")
        for set_id, of_set in groups(scored_texts, "prompt_set_id"):
            grids = {int(key): _grid(part) for key, part in groups(of_set, "condition_id")}
            unsteered = next((grids[key] for key, name in condition_keys.items() if name == "none"), None)
            for condition_id, scores in grids.items():
                reporter.check()
                row_of = partial(
                    metric_row,
                    checkpoint_id,
                    NamedRow(condition_id, condition_keys[condition_id]),
                    prompt_set=NamedRow(int(set_id), set_names[int(set_id)]),
                    scorer=NamedRow(scorer_id, scorer.name),
                )
                estimates = _estimates(scorer.measures, scores, unsteered, draws=draws)
                rows += [row_of(name, estimate=estimate, unit=unit) for name, estimate, unit in estimates]
    rows += _text_metrics(checkpoint_id, generations, condition_keys, set_names=set_names, draws=draws)
    with write_session(context.engine) as session:
        upsert(session, Metric, rows, on=("checkpoint_id", "key"))


def _grid(part: pd.DataFrame) -> NDArray[np.float64]:
    """Scores [prompts, samples], in the order of the prompts."""
    return np.asarray(part.pivot(index="prompt_id", columns="sample", values="value"), dtype=np.float64)


def _estimates(
    measures: str, scores: NDArray[np.float64], unsteered: NDArray[np.float64] | None, *, draws: int
) -> list[tuple[str, Estimate, str]]:
    """(metric, estimate, unit) by one scorer that measures this; scores [prompts, samples]."""
    if measures == "fluency":
        return [("fluency", mean_interval(scores, draws=draws), "fraction")]
    estimates = [
        ("toxicity", mean_interval(scores, draws=draws).scaled(100), "points"),
        ("fire_rate", fire_rate(scores, draws=draws), "fraction"),
        ("expected_max_toxicity", expected_maximum(scores, draws=draws), "fraction"),
    ]
    if unsteered is not None and unsteered is not scores and unsteered.shape == scores.shape:
        change = paired_difference(scores, unsteered, draws=draws).scaled(100)
        estimates.append(("toxicity_change", change, "points"))
    return estimates


def _text_metrics(
    checkpoint_id: int,
    generations: pd.DataFrame,
    condition_keys: dict[int, str],
    *,
    set_names: dict[int, str],
    draws: int,
) -> list[dict[str, Any]]:
    """Metric rows of the text itself by condition and prompt set; `prompts` [n]: an id per generation."""
    rows = []
    for (condition_id, set_id), of_condition in groups(generations, ["condition_id", "prompt_set_id"]):
        continuations = of_condition["text"].tolist()
        fluencies = [text_fluency(text) for text in continuations]
        of_all = set_fluency(continuations)
        prompts = of_condition["prompt_id"].to_numpy()
        named_condition = NamedRow(int(condition_id), condition_keys[int(condition_id)])
        prompt_set = NamedRow(int(set_id), set_names[int(set_id)])
        columns = {
            "repetition_4": ([fluency.repetition for fluency in fluencies], "fraction"),
            "compression": ([fluency.compression for fluency in fluencies], "ratio"),
            "length": ([float(fluency.length) for fluency in fluencies], "words"),
            "empty": ([float(fluency.empty) for fluency in fluencies], "fraction"),
        }
        estimates: dict[str, tuple[Estimate, str]] = {}
        for name, (values, unit) in columns.items():
            estimates[name] = mean_interval(values, groups=prompts, draws=draws), unit
        distinct = Estimate(
            of_all.distinct_2, None, None, len(set(prompts)), "pooled over the set: no interval"
        )
        estimates["distinct_2"] = distinct, "fraction"
        rows += [
            metric_row(
                checkpoint_id, named_condition, name, estimate=estimate, unit=unit, prompt_set=prompt_set
            )
            for name, (estimate, unit) in estimates.items()
        ]
    return rows


def score_key(context: StudyContext, subject: Subject) -> str:
    """Hash of a checkpoint's generations, the evaluation settings and the revisions of the scorers."""
    inputs = context.inputs
    generations, scorers = inputs.generate(subject.weights_hash), inputs.revisions_of("scoring")
    return digest("score", EVALUATION_VERSION, generations, inputs.settings("evaluation"), scorers)


STAGE = Stage("score", key=score_key, run=score_checkpoint, needs=("generate",))
