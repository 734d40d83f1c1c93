"""Report sections on results: the answer, dose-response, trade-offs, the tables of numbers.

Reads rows through `dashboard.rows` and draws with `dashboard.charts`: a report says what the pages say.
"""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard import rows
from hormesis.dashboard.base import selection
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.selection import Choice, of_choice
from hormesis.dashboard.base.verdicts import (
    NO_DATA,
    Verdict,
    after_nulls,
    fit_said,
    fits_of,
    in_scope,
    stored,
    verdict_table,
)
from hormesis.dashboard.base.wording import (
    arm_label,
    as_sentence,
    condition_label,
    gate_bounds,
    gate_tally,
    gate_words,
    is_imported,
    metric_name,
    minus,
)
from hormesis.dashboard.charts.dose import dose_response
from hormesis.dashboard.charts.nulls import PARTS_NOTE, null_note, null_table, parts_table
from hormesis.dashboard.charts.tradeoff import tradeoff
from hormesis.dashboard.document.blocks import Block, Chart, Claim, Claims, Section, Table
from hormesis.dashboard.rows.context import Context
from hormesis.db import read
from hormesis.db.gates.losses import with_gates
from hormesis.db.paper import source

KEYS = ["kind", "share", "condition_key"]


def study_verdicts(context: Context, choice: Choice) -> list[Verdict]:
    """The stored verdicts of the overview, its headline first; empty before the first were made."""
    return stored(rows.verdicts(context), choice.prompt_set, choice.scorer)


def with_cost(context: Context, summaries: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Toxicity with the cost of the same condition and its gates beside; unsteered costs nothing."""
    toxicity, cost = of_choice(summaries, "toxicity", choice), summaries[summaries["name"] == "cost"]
    return with_gates(read.with_cost(toxicity, cost), rows.gates(context)).reset_index(drop=True)


def _dose(
    doses: pd.DataFrame, metric: str, title: str, *, guide: str, curves: pd.DataFrame | None = None
) -> Chart:
    """A metric over the share in both lights; `doses`: summary rows of it, `curves`: fits to draw."""
    unit = str(doses["unit"].iloc[0])
    y_title, from_zero = f"{metric_name(metric)} ({unit})", metric == "toxicity"
    figures = {
        dark: dose_response(doses, y_title, dark=dark, from_zero=from_zero, curves=curves)
        for dark in (False, True)
    }
    note = f" Bars: 95 % intervals over seeds (up to {int(doses['n_seeds'].max())}) and prompts."
    alt = f"{metric_name(metric)} against the share of toxic-source text, one line per condition"
    return Chart(title, figures[False], figures[True], guide + note, alt)


def _claims(context: Context, choice: Choice) -> list[Block]:
    """The claims with data in words, the same in numbers, and those without data."""
    verdicts = in_scope(rows.verdicts(context), choice.prompt_set, choice.scorer)
    by_lack: dict[bool, list[Claim]] = {True: [], False: []}
    for verdict in study_verdicts(context, choice):
        claim = Claim(verdict.status, verdict.claim.rstrip("."), f"{verdict.detail}.")
        by_lack[verdict.status == NO_DATA].append(claim)
    note = (
        "Supported: Holm's p over the claims of one group is at most .05, with two seeds or more. Not "
        "supported: the interval rules out an effect large enough to matter, also where a smaller one is "
        "there. Cannot be told: with these "
        "seeds, prompts and scale it could not have come out supported. All between is undecided."
    )
    note = f"{note} {after_nulls(verdicts)}".rstrip()
    blocks: list[Block] = [Claims("Claims and verdicts", by_lack[False], note)] if by_lack[False] else []
    tested = verdicts[verdicts["status"] != NO_DATA]
    if len(tested):
        numbers = verdict_table(tested)
        note = f"† {source()}: never our result."
        blocks.append(Table("The claims in numbers", numbers, note, folded=True))
    if by_lack[True]:
        without_data = pd.DataFrame(
            {"Claim": [c.claim for c in by_lack[True]], "Missing": [c.detail for c in by_lack[True]]}
        )
        blocks.append(Table("Claims this study has no rows for", without_data, folded=True))
    return blocks


def answer(context: Context, summaries: pd.DataFrame, choice: Choice) -> Section:
    """Claims with their verdicts, and the dose-response charts; `summaries`: pooled over seeds."""
    dosed = summaries[
        ~summaries["kind"].map(is_imported).astype(bool) & summaries["method"].isin(["none", "iti"])
    ]
    toxicity = of_choice(dosed, "toxicity", choice)
    blocks = _claims(context, choice)
    for view, basis in ((selection.MATCHED, "matched cost"), (selection.FIXED, "fixed strength")):
        toxicity_in_view = selection.in_view(toxicity, view)
        if len(toxicity_in_view):
            curves = fits_of(
                toxicity_in_view, rows.dose_fits(context), choice.prompt_set, scorer=choice.scorer
            )
            best_doses = fit_said(curves)
            guide = "A line that dips below its own left end means that dose helped under that condition."
            guide += f" {as_sentence(best_doses)}" if best_doses else ""
            title = f"Toxicity by share of toxic-source text, at {basis}"
            blocks.append(_dose(toxicity_in_view, "toxicity", title, guide=guide, curves=curves))
    for metric in selection.FLUENCIES:
        fluency = selection.in_view(of_choice(dosed, metric, choice), selection.MATCHED)
        if len(fluency):
            guide = "Read beside toxicity: toxicity that falls as the language breaks is not detoxification."
            blocks.append(_dose(fluency, metric, f"{metric_name(metric)} at matched cost", guide=guide))
            break
    of_prompts = summaries[summaries["prompt_set"] == choice.prompt_set]
    lead = f"Prompts: {choice.prompt_set}. Scorer: {choice.scorer}. {gate_words(of_prompts)}".rstrip()
    return Section("Does a dose of toxic text help?", blocks, lead)


def costs(context: Context, summaries: pd.DataFrame, choice: Choice) -> Section:
    """The trade-off chart, its rows, ITI beside nulls; `summaries`: pooled over seeds, of every metric."""
    joined = with_cost(context, summaries, choice)
    blocks: list[Block] = []
    if len(joined):
        unit = str(joined["unit"].iloc[0])
        figures = {
            dark: tradeoff(joined, f"Toxicity ({unit})", dark=dark, chosen=None) for dark in (False, True)
        }
        blocks.append(
            Chart(
                "Toxicity against cost",
                figures[False],
                figures[True],
                "Down and left is better. Each curve starts at its unsteered arm (open circle, cost 0); "
                "the wide grey line joins conditions that no other beats in both. Bars: 95 % intervals, both "
                "ways.",
                "Toxicity against added cross-entropy, one curve per arm, with the frontier",
            )
        )
        note = f"{INTERVALS} {gate_tally(joined)} {gate_bounds(context.config)}"
        blocks.append(Table("The points of the chart", readable(joined, cost=True), note, folded=True))
    effects = rows.null_effects(context)
    effects = effects[(effects["prompt_set"] == choice.prompt_set) & (effects["scorer"] == choice.scorer)]
    if len(effects):
        note = null_note(effects)
        blocks.append(Table("ITI beside null directions", null_table(effects), note, folded=True))
    parts = parts_table(effects)
    if len(parts):
        blocks.append(Table("What the interval is made of", parts, PARTS_NOTE, folded=True))
    return Section("What does detoxification cost?", blocks)


INTERVALS = "Intervals are 95 %; n counts prompts (documents, items, goals), each once whatever the seeds."


def span(value: float, low: float, high: float) -> str:
    """A value with its interval, to four digits."""
    return minus(f"{value:.4g}" if pd.isna(low) else f"{value:.4g} [{low:.4g}, {high:.4g}]")


def readable(summaries: pd.DataFrame, *, cost: bool = False) -> pd.DataFrame:
    """Summary rows in words: arm, condition, value with interval, n."""
    columns = {
        "Arm": [arm_label(row.kind, row.share) for row in records(summaries)],
        "Condition": [
            condition_label(row.method, row.strength, row.matched_cost, key=row.condition_key)
            for row in records(summaries)
        ],
        "Measure": [metric_name(name) for name in summaries["name"]],
        "Prompts": summaries["prompt_set"],
        "Scorer": summaries["scorer"],
        "Value": [span(row.value, row.low, row.high) for row in records(summaries)],
        "Unit": summaries["unit"],
        "Seeds": summaries["n_seeds"],
        "n": summaries["n"],
        "Interval": summaries["interval"],
    }
    if cost:
        columns["Cost (nats)"] = [span(row.cost, row.cost_low, row.cost_high) for row in records(summaries)]
        columns["Gates"] = summaries["gates"]
        del columns["Measure"]
    return pd.DataFrame(columns)


def numbers(context: Context) -> Section:
    """Every number over seeds, one table per measure, closed until asked for."""
    summaries = rows.summaries(context)
    blocks = [
        Table(metric_name(str(name)), readable(of_metric), INTERVALS, folded=True)
        for name, of_metric in summaries.groupby("name", sort=True)
    ]
    return Section("All numbers", blocks, "One row per arm, condition, prompt set and scorer, over seeds.")
