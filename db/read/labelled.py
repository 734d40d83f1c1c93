"""Queries about labelled examples and about how far scorers agree on the same generations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine, case, func, literal, select

from hormesis.db.contract.scores import TOXIC
from hormesis.db.read.columns import EXAMPLE
from hormesis.db.read.frame import Query, frame
from hormesis.db.schema import USUAL_SAMPLE, Example, Generation, Prompt, Score, Scorer


def examples(
    engine: Engine,
    probe_set_id: int,
    page: int = 0,
    *,
    size: int = 50,
    label: int | None = None,
    split: str | None = None,
    source: str | None = None,
    words: str = "",
) -> pd.DataFrame:
    """One page (from 0) of labelled examples: id, key, text, label, group, source, score, split; by key.

    `label` (1 toxic, 0 not), `split`, `source` and `words` in the text, in any case, narrow the rows;
    `total` counts those on all pages.
    """
    query: Query = select(Example.id, Example.key, Example.text, *EXAMPLE, func.count().over().label("total"))
    query = query.where(Example.probe_set_id == probe_set_id)
    if words:
        query = query.where(Example.text.icontains(words, autoescape=True))
    for column, value in (
        (Example.label, label),
        (Example.split, split),
        (Example.source, source),
    ):
        if value is not None:
            query = query.where(column == value)
    return frame(engine, query.order_by(Example.key).limit(size).offset(page * size))


def examples_by_id(engine: Engine, example_ids: Sequence[int]) -> pd.DataFrame:
    """Examples with their text, in the order asked for; for a selection on a chart."""
    rows = frame(engine, select(Example.id, Example.text, *EXAMPLE).where(Example.id.in_(example_ids)))
    place = {example_id: index for index, example_id in enumerate(example_ids)}
    return rows.sort_values("id", key=lambda column: column.map(place)).reset_index(drop=True)


def example_counts(engine: Engine, probe_set_id: int) -> pd.DataFrame:
    """How many examples by label, split and source: label, split, source, n."""
    keys = (Example.label, Example.split, Example.source)
    query = (
        select(*keys, func.count().label("n"))
        .where(Example.probe_set_id == probe_set_id)
        .group_by(*keys)
        .order_by(*(key.nulls_first() for key in keys))
    )
    return frame(engine, query)


def _scores(condition_id: int, prompt_set_id: int, *columns: Any) -> Query:
    """Select of `columns`, a row for each score of a condition on a prompt set (of every scorer)."""
    query: Query = select(*columns)
    return (
        query.select_from(Prompt)
        .join(Generation, (Generation.prompt_id == Prompt.id) & (Generation.condition_id == condition_id))
        .join(Score, Score.generation_id == Generation.id)
        .join(Scorer, Score.scorer_id == Scorer.id)
        .where(Prompt.prompt_set_id == prompt_set_id, USUAL_SAMPLE)
    )


def _wide_scores(engine: Engine, condition_id: int, prompt_set_id: int) -> pd.DataFrame:
    """Every score of a condition on a prompt set, no texts: generation_id, then a column per scorer."""
    columns = (Score.generation_id, Scorer.name, Score.value)
    rows = frame(engine, _scores(condition_id, prompt_set_id, *columns))
    wide = rows.pivot_table(index="generation_id", columns="name", values="value", aggfunc="last")
    return wide.rename_axis(columns=None).reset_index()


def score_counts(
    engine: Engine, condition_id: int, prompt_set_id: int, *, scorer: str, bins: int = 20
) -> pd.DataFrame:
    """How many scores of a condition lie in each of `bins` equal parts of 0 to 1: bin (from 0), n.

    A bin holds its lower end, the last one both; empty bins have no row; other values are not counted.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    cases = [(Score.value < float(edge), number) for number, edge in enumerate(edges[1:-1])]
    bin_of_score = case(*cases, else_=bins - 1) if cases else literal(0)
    query = _scores(condition_id, prompt_set_id, bin_of_score.label("bin"), func.count().label("n"))
    query = query.where(Scorer.name == scorer, Score.value.between(0.0, 1.0))
    return frame(engine, query.group_by("bin").order_by("bin")).astype("int64")


def scorer_agreement(engine: Engine, condition_id: int, prompt_set_id: int) -> pd.DataFrame:
    """How far each pair of toxicity scorers agrees on a condition's generations.

    Columns: first, second, n (texts both scored), pearson, spearman, kappa (Cohen's, of being above 0.5)
    and same (share on which both are on the same side of 0.5). NaN where a scorer gives one value only.
    """
    wide_scores = _wide_scores(engine, condition_id, prompt_set_id)
    toxicity_scorers = _toxicity_scorers(engine)
    names = [name for name in wide_scores.columns if name in toxicity_scorers]
    rows = [_agree(wide_scores, first, second) for first, second in combinations(names, 2)]
    columns = ["first", "second", "n", "pearson", "spearman", "kappa", "same"]
    dtypes = ["str", "str", "int64", "float64", "float64", "float64", "float64"]
    return pd.DataFrame(rows, columns=columns).astype(dict(zip(columns, dtypes, strict=True)))


def _toxicity_scorers(engine: Engine) -> set[str]:
    return set(frame(engine, select(Scorer.name).where(Scorer.measures == "toxicity"))["name"])


def _agree(wide: pd.DataFrame, first: str, second: str) -> tuple[str, str, int, float, float, float, float]:
    """The row of `scorer_agreement` for two scorers; `wide`: a row per generation, a column per scorer."""
    scores = wide[[first, second]].dropna()
    n = len(scores)
    if n == 0:
        return (first, second, 0, np.nan, np.nan, np.nan, np.nan)
    first_hit, second_hit = scores[first] > TOXIC, scores[second] > TOXIC
    agreement = float((first_hit == second_hit).mean())
    by_chance = float(first_hit.mean() * second_hit.mean() + (1 - first_hit.mean()) * (1 - second_hit.mean()))
    kappa = (agreement - by_chance) / (1 - by_chance) if by_chance < 1 else np.nan
    pearson = _correlation(scores[first], scores[second])
    spearman = _correlation(scores[first].rank(), scores[second].rank())
    return (first, second, n, pearson, spearman, kappa, agreement)


def _correlation(a: pd.Series[float], b: pd.Series[float]) -> float:
    """Pearson's correlation; NaN for fewer than two pairs, or where one side has one value only."""
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
