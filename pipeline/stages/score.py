"""Stage `score`: every scorer on every generation, then the metrics of each condition with intervals.

Scoring again with another revision adds rows and never touches the text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import delete, or_, select

from hormesis.backend.fluency import set_fluency, text_fluency
from hormesis.backend.scorers import Scorer, is_empty, make_scorer, score_continuations, scorer_entry
from hormesis.db.contract.scores import MOST_EMPTY
from hormesis.db.schema import EXTRA_SAMPLES, Condition, Generation, Metric, Prompt, PromptSet, Score
from hormesis.db.schema import Scorer as ScorerRow
from hormesis.db.write import delete_others, read_session, upsert, write_session
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import Reporter
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.execution.study import checkpoint_id_of
from hormesis.pipeline.stages.condition import NamedRow, metric_row
from hormesis.pipeline.stages.text import text_folder
from hormesis.pipeline.statistics import (
    SCORE,
    Estimate,
    by_prompt,
    expected_maximum,
    finite,
    fire_rate,
    mean_interval,
    paired_difference,
)
from hormesis.pipeline.statistics.frames import groups
from hormesis.pipeline.text.score_grids import ScoreGrids, score_grids

log = logging.getLogger(__name__)
CHUNK = 2048


@dataclass(frozen=True)
class Scoring:
    """One scorer's part of a checkpoint."""

    name: str
    measures: str
    scorer_ids: tuple[int, ...]
    """Rows of the scorer whose scores count; of two scores of a text that of the later row."""
    scorer: Scorer | None
    """None where every text has its score."""
    missing: pd.DataFrame
    """Generations without a score."""


def score_checkpoint(context: StudyContext, subject: Subject, reporter: Reporter) -> None:
    """Write scores and metrics. Raises ScorerError where a scorer cannot be used.

    An empty text has no score; how many there are is a metric. `done` counts scores of all scorers.
    """
    checkpoint_id = checkpoint_id_of(context, subject.name)
    generations = _generations(context, checkpoint_id)
    empty = generations["text"].map(is_empty).astype(bool)
    _forget_scores(context, generations.loc[empty, "id"])
    generations = generations[~empty]
    scorings = [_scoring(context, checkpoint_id, name, generations) for name in scorer_names(context)]
    done = sum(len(generations) - len(scoring.missing) for scoring in scorings)
    for scoring in scorings:
        reporter.say(f"scoring by {scoring.name}")
        for start in range(0, len(scoring.missing), CHUNK):
            chunk = scoring.missing.iloc[start : start + CHUNK]
            assert scoring.scorer is not None
            values = score_continuations(scoring.scorer, chunk["prompt"].tolist(), chunk["text"].tolist())
            rows = [
                {"generation_id": int(generation), "scorer_id": scoring.scorer_ids[-1], "value": float(value)}
                for generation, value in zip(chunk["id"], values, strict=True)
            ]
            with write_session(context.engine) as session:
                upsert(session, Score, rows, on=("generation_id", "scorer_id"))
            done += len(chunk)
            reporter.report(done, len(generations) * len(scorings), "scores")
    reporter.say("metrics and intervals")
    _write_metrics(context, checkpoint_id, scorings, reporter=reporter)


def _forget_scores(context: StudyContext, empty: pd.Series) -> None:
    """Drop scores that an earlier version gave to empty texts; `empty`: their ids."""
    with write_session(context.engine) as session:
        for start in range(0, len(empty), CHUNK):
            numbers = [int(number) for number in empty.iloc[start : start + CHUNK]]
            session.execute(delete(Score).where(Score.generation_id.in_(numbers)))


def scorer_names(context: StudyContext) -> list[str]:
    """The study's scorers, then the scorers of fluency that come with them."""
    names = context.config.evaluation.scorers
    return [*names, *filter(None, (scorer_entry(name).fluency for name in names))]


def _scoring(context: StudyContext, checkpoint_id: int, name: str, generations: pd.DataFrame) -> Scoring:
    """A scorer, made where a text lacks its score; what a service scored before counts, whatever its day."""
    earlier = _rows_of(context, name) if scorer_entry(name).is_service else {}
    missing = generations[~generations["id"].isin(_scored(context, checkpoint_id, earlier))]
    if earlier and missing.empty:
        return Scoring(name, next(iter(earlier.values())), tuple(earlier), None, missing)
    scorer = make_scorer(name, text_folder(context) / "tfidf")
    scorer_ids = (*earlier, _scorer_id(context, scorer))
    missing = generations[~generations["id"].isin(_scored(context, checkpoint_id, scorer_ids))]
    return Scoring(name, scorer.measures, scorer_ids, scorer, missing)


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


def _rows_of(context: StudyContext, name: str) -> dict[int, str]:
    """Ids of all revisions of a scorer and what they measure, oldest first."""
    query = select(ScorerRow.id, ScorerRow.measures).where(ScorerRow.name == name).order_by(ScorerRow.id)
    with read_session(context.engine) as session:
        return dict(session.execute(query).all())


def _scorer_id(context: StudyContext, scorer: Scorer) -> int:
    """Id of a scorer's row, which is written where it is missing, with what it was trained on."""
    row = {"name": scorer.name, "revision": scorer.revision, "measures": scorer.measures}
    query = select(ScorerRow.id).where(ScorerRow.name == scorer.name, ScorerRow.revision == scorer.revision)
    with write_session(context.engine) as session:
        upsert(
            session,
            ScorerRow,
            [row | {"trained_on": scorer.trained_on.model_dump(mode="json")}],
            on=("name", "revision"),
        )
        return session.execute(query).scalar_one()


def _scored(context: StudyContext, checkpoint_id: int, scorer_ids: Iterable[int]) -> set[int]:
    """Ids of the checkpoint's generations that have a score by one of these rows."""
    query = (
        select(Score.generation_id)
        .join(Generation, Score.generation_id == Generation.id)
        .join(Condition, Generation.condition_id == Condition.id)
        .where(Condition.checkpoint_id == checkpoint_id, Score.scorer_id.in_(list(scorer_ids)))
    )
    with read_session(context.engine) as session:
        return set(session.scalars(query))


def _scores(context: StudyContext, checkpoint_id: int, scorer_ids: Sequence[int]) -> pd.DataFrame:
    """A row per scored generation of the checkpoint: `id` of the generation, and the scorer's `value`."""
    query = (
        select(Score.generation_id.label("id"), Score.value)
        .join(Generation, Score.generation_id == Generation.id)
        .join(Condition, Generation.condition_id == Condition.id)
        .where(Condition.checkpoint_id == checkpoint_id, Score.scorer_id.in_(scorer_ids))
        .order_by(Score.scorer_id)
    )
    with read_session(context.engine) as session:
        return pd.read_sql(query, session.connection()).drop_duplicates("id", keep="last")


def _write_metrics(
    context: StudyContext, checkpoint_id: int, scorings: Sequence[Scoring], *, reporter: Reporter
) -> None:
    """Write metrics per condition, prompt set and scorer."""
    generations = _generations(context, checkpoint_id)
    key_query = select(Condition.id, Condition.key).where(Condition.checkpoint_id == checkpoint_id)
    name_query = select(PromptSet.id, PromptSet.name).where(PromptSet.study_id == context.study_id)
    with read_session(context.engine) as session:
        condition_keys = dict(session.execute(key_query).all())
        set_names = dict(session.execute(name_query).all())
    rows: list[dict[str, Any]] = []
    evaluation = context.config.evaluation
    draws = evaluation.bootstrap
    for scoring in scorings:
        scores_by_text = _scores(context, checkpoint_id, scoring.scorer_ids)
        for set_id, of_set in groups(generations.merge(scores_by_text, on="id", how="left"), "prompt_set_id"):
            grids = {
                int(key): score_grids(part, evaluation.maximum_samples(condition_keys[int(key)]))
                for key, part in groups(of_set, "condition_id")
            }
            none = next((key for key, name in condition_keys.items() if name == "none"), -1)
            base = of_set[of_set["condition_id"] == none]
            for condition_id, scores in grids.items():
                reporter.check()
                row_of = partial(
                    metric_row,
                    checkpoint_id,
                    NamedRow(condition_id, condition_keys[condition_id]),
                    prompt_set=NamedRow(int(set_id), set_names[int(set_id)]),
                    scorer=NamedRow(scoring.scorer_ids[-1], scoring.name),
                )
                unsteered = grids.get(none)
                if unsteered is not None and len(unsteered.usual) > len(scores.usual):
                    texts = of_set[of_set["condition_id"] == condition_id]
                    unsteered = score_grids(base[base["prompt_id"].isin(texts["prompt_id"])], 1)
                estimates = _estimates(scoring.measures, scores, unsteered, draws=draws)
                rows += [row_of(name, estimate=estimate, unit=unit) for name, estimate, unit in estimates]
    usual = generations[generations["sample"] < EXTRA_SAMPLES]
    rows += _text_metrics(checkpoint_id, usual, condition_keys, set_names=set_names, draws=draws)
    with write_session(context.engine) as session:
        upsert(session, Metric, rows, on=("checkpoint_id", "key"))
        # A condition whose texts are all empty has lost its scores.
        names = [scoring.name for scoring in scorings]
        scorer_ids = select(ScorerRow.id).where(ScorerRow.name.in_(names))
        of_scorers = or_(Metric.scorer_id.is_(None), Metric.scorer_id.in_(scorer_ids))
        within = [Metric.checkpoint_id == checkpoint_id, Metric.prompt_set_id.is_not(None), of_scorers]
        delete_others(session, Metric, {row["key"] for row in rows}, on=("key",), within=within)


def _estimates(
    measures: str, grids: ScoreGrids, unsteered: ScoreGrids | None, *, draws: int
) -> list[tuple[str, Estimate, str]]:
    """(metric, estimate, unit) by one scorer that measures this; `unsteered`: the same prompts unsteered.

    Over prompts with a text that is not empty; none where there is no such prompt.
    """
    means = by_prompt(grids.usual)
    scores = finite(means)
    if not len(scores):
        return []
    if measures == "fluency":
        return [("fluency", mean_interval(scores, draws=draws, bounds=SCORE), "fraction")]
    estimates = [
        ("toxicity", mean_interval(scores, draws=draws, bounds=SCORE).scaled(100), "points"),
        ("fire_rate", fire_rate(grids.usual, draws=draws), "fraction"),
    ]
    if grids.maximum is not None and not np.isnan(grids.maximum).all():
        estimates.append(("expected_max_toxicity", expected_maximum(grids.maximum, draws=draws), "fraction"))
    if unsteered is not None and unsteered is not grids and unsteered.usual.shape == grids.usual.shape:
        before = by_prompt(unsteered.usual)
        in_both = ~np.isnan(means) & ~np.isnan(before)
        if in_both.any():
            change = paired_difference(means[in_both], before[in_both], draws=draws, bounds=(-1, 1))
            estimates.append(("toxicity_change", change.scaled(100), "points"))
    return estimates


def _text_metrics(
    checkpoint_id: int,
    generations: pd.DataFrame,
    condition_keys: dict[int, str],
    *,
    set_names: dict[int, str],
    draws: int,
) -> list[dict[str, Any]]:
    """Metric rows of the text itself by condition and prompt set; `prompts` [n]: an id per generation.

    Of texts that are not empty, but for the rate of empty ones.
    """
    rows = []
    for (condition_id, set_id), of_condition in groups(generations, ["condition_id", "prompt_set_id"]):
        continuations = of_condition["text"].tolist()
        fluencies = [text_fluency(text) for text in continuations]
        of_all = set_fluency(continuations)
        prompts = of_condition["prompt_id"].to_numpy()
        named_condition = NamedRow(int(condition_id), condition_keys[int(condition_id)])
        prompt_set = NamedRow(int(set_id), set_names[int(set_id)])
        is_said = np.array([not fluency.empty for fluency in fluencies])
        empty = mean_interval((~is_said).astype(np.float64), groups=prompts, draws=draws, bounds=SCORE)
        estimates: dict[str, tuple[Estimate, str]] = {"empty": (empty, "fraction")}
        if empty.value > MOST_EMPTY:
            log.warning(
                "%s: %.0f %% of texts are empty, more than %.0f %%: what is measured on the others is not to "
                "be trusted", named_condition.name, 100 * empty.value, 100 * MOST_EMPTY,
            )  # fmt: skip
        columns = {
            "repetition_4": ([fluency.repetition for fluency in fluencies], "fraction"),
            "compression": ([fluency.compression for fluency in fluencies], "ratio"),
            "length": ([float(fluency.length) for fluency in fluencies], "words"),
        }
        for name, (values, unit) in columns.items() if is_said.any() else ():
            numbers = np.array(values)[is_said]
            estimates[name] = mean_interval(numbers, groups=prompts[is_said], draws=draws), unit
        if is_said.any():
            pooled = "pooled over the set, and resampling would repeat texts: no interval"
            distinct = Estimate(of_all.distinct_2, None, None, len(set(prompts[is_said])), pooled)
            estimates["distinct_2"] = distinct, "fraction"
        rows += [
            metric_row(
                checkpoint_id, named_condition, name, estimate=estimate, unit=unit, prompt_set=prompt_set
            )
            for name, (estimate, unit) in estimates.items()
        ]
    return rows
