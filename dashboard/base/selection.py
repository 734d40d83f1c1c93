"""Which rows charts are drawn from: prompt set, scorer, view, first seeds, heads. Knows no widgets."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import arm_label, is_second

MATCHED, FIXED, EVERY = "Matched cost", "Fixed strength", "All"

FLUENCIES = ("fluency", "distinct_2", "repetition_4")
"""Metrics of how whole the language is; the first that a study has stands beside toxicity."""


def options(values: pd.Series) -> list[str]:
    """Distinct values without nulls, sorted."""
    return sorted({str(value) for value in values.dropna()})


def by_size(rows: pd.DataFrame) -> list[str]:
    """Prompt sets of summary rows, the one with most texts first."""
    sizes = rows.groupby("prompt_set")["n"].max().sort_values(ascending=False, kind="stable")
    return [str(name) for name in sizes.index]


def fluency(choices: pd.DataFrame, prompt_set: str | None) -> tuple[str, str | None] | None:
    """Name and scorer of the first of FLUENCIES that `choices` (`summary_choices`) has for these prompts."""
    of_prompts = choices[choices["prompt_set"] == prompt_set]
    for name in FLUENCIES:
        of_metric = of_prompts[of_prompts["name"] == name]
        if len(of_metric):
            return name, next(iter(options(of_metric["scorer"])), None)
    return None


def in_view(rows: pd.DataFrame, choice: str) -> pd.DataFrame:
    """The unsteered summary rows and those of the view `choice`: MATCHED, FIXED or EVERY."""
    is_base = rows["method"] == "none"
    is_matched = rows["matched_cost"].notna()
    if choice == MATCHED:
        return rows[is_base | is_matched]
    if choice == FIXED:
        return rows[is_base | ~is_matched]
    return rows


@dataclass(frozen=True)
class Choice:
    """Prompts and scorer of the results on show, and which conditions are compared."""

    prompt_set: str | None
    scorer: str | None
    view: str = MATCHED
    """MATCHED, FIXED or EVERY."""


def main_choice(summaries: pd.DataFrame) -> Choice:
    """The prompt set with most texts and the first scorer it was scored by."""
    toxicity = summaries[summaries["name"] == "toxicity"]
    prompt_set = next(iter(by_size(toxicity)), None) if len(toxicity) else None
    of_prompts = toxicity[toxicity["prompt_set"] == prompt_set]
    return Choice(prompt_set, next(iter(options(of_prompts["scorer"])), None))


def of_choice(summaries: pd.DataFrame, metric: str, choice: Choice) -> pd.DataFrame:
    """Summary rows of a metric for the choice's prompts and scorer, else for the first scorer there is."""
    of_metric = summaries[(summaries["name"] == metric) & (summaries["prompt_set"] == choice.prompt_set)]
    of_scorer = of_metric[of_metric["scorer"] == choice.scorer]
    if len(of_scorer) or of_metric.empty:
        return of_scorer
    scorers = of_metric["scorer"].fillna("")
    first: pd.DataFrame = of_metric.loc[scorers == scorers.iloc[0]]
    return first


def of_dose(summaries: pd.DataFrame) -> pd.DataFrame:
    """The summary rows of a dose-response: the dose and its control, under ITI and without steering.

    Arms that train on toxic text in another way, imported checkpoints, other methods and the second set of
    directions are on the trade-offs page.
    """
    summaries = summaries[summaries["kind"].isin(["toxic", "clean-forum"])]
    summaries = summaries[summaries["method"].isin(["none", "iti"])]
    return summaries[~summaries["condition_key"].map(is_second).astype(bool)]


def mix_rows(composition: pd.DataFrame) -> pd.DataFrame:
    """One seed of every mix, its arm in words: the rows of the bars."""
    first_seed = composition.drop_duplicates(["kind", "share", "source"]).copy()
    first_seed["arm"] = [arm_label(row.kind, row.share) for row in records(first_seed)]
    return first_seed


def cosine_rows(cosines: pd.DataFrame, heads: pd.DataFrame, most: int) -> pd.DataFrame:
    """Cosines (a row per head and feature) of the `most` first `heads` by rank, in that order: `place`."""
    first_heads = heads.sort_values("rank", na_position="last").head(most)
    order = {(int(row.layer), int(row.head)): place for place, row in enumerate(records(first_heads))}
    places = [order.get((int(row.layer), int(row.head)), -1) for row in records(cosines)]
    cosines = cosines.assign(place=places)
    cosines = cosines[cosines["place"] >= 0]
    return cosines.sort_values(["place", "id"], kind="stable")


def with_probes(points: pd.DataFrame, probes: pd.DataFrame) -> pd.DataFrame:
    """Points of heads with what their probes say: accuracy, selectivity, rank (missing if not steered)."""
    keys = ["checkpoint", "layer", "head"]
    return points.merge(probes[[*keys, "accuracy", "selectivity", "rank"]], on=keys, how="left")


def within_choice(frame: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """The rows on the prompts and by the scorer chosen."""
    is_chosen = (frame["prompt_set"] == choice.prompt_set) & (frame["scorer"] == choice.scorer)
    return frame[is_chosen].reset_index(drop=True)
