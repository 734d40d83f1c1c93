"""Two runs side by side: what was set differently, and what came out differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.runs.compare import (
    KEYS,
    expected_by_chance,
    number_difference,
    settings_difference,
)
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import condition_label, is_imported, metric_name
from hormesis.dashboard.charts.differences import differences
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows.context import Context, context_of, study_names

ARMS, STUDIES = "Checkpoints", "Studies"
MOST_LINES = 24
SUMMARY_KEYS = ["kind", "share", "name", "condition", "prompt_set", "scorer"]


@dataclass(frozen=True)
class Run:
    """One side of a comparison: a checkpoint of a study, or (without a row) the whole study."""

    context: Context
    row: dict[str, Any] | None = None

    def settings(self) -> dict[str, Any]:
        """What was set for it: the study's configuration, and of a checkpoint what it was trained on."""
        config = dict(self.context.config)
        if self.row is None:
            return {"study": config, "data": self.context.revisions}
        names = (
            "kind",
            "share",
            "seed",
            "architecture",
            "n_layers",
            "n_heads",
            "head_dim",
            "parameters",
            "tokens_seen",
        )
        checkpoint: dict[str, Any] = {name: self.row.get(name) for name in names}
        arms = rows.arms(self.context)
        of_name = arms[arms["name"] == self.row["name"]]
        if len(of_name):
            arm = of_name.iloc[0]
            checkpoint |= arm[["clean_tokens", "added_tokens", "repeats", "composition"]].to_dict()
        return {"checkpoint": checkpoint, "details": self.row.get("details") or {}, "study": config}

    def numbers(self) -> pd.DataFrame:
        """Its numbers with the columns of `KEYS`; a study's are over seeds and carry kind and share."""
        if self.row is None:
            return rows.summaries(self.context).rename(columns={"condition_key": "condition"})
        return rows.checkpoint_metrics(self.context, int(self.row["id"]))


def _runs(context: Context, run_kind: str) -> dict[str, Run]:
    """Every run that can be chosen, by its name; those of the study on show first."""
    study_labels = study_names(context.studies)
    contexts = {name: context_of(context, context.studies, place) for place, name in enumerate(study_labels)}
    if run_kind == STUDIES:
        return {name: Run(run) for name, run in contexts.items()}
    order = sorted(contexts, key=lambda name: contexts[name].study_id != context.study_id)
    runs = {}
    for name in order:
        for row in rows.checkpoints(contexts[name]).to_dict("records"):
            label = str(row["name"]) if len(order) == 1 else f"{name} / {row['name']}"
            runs[label] = Run(contexts[name], {str(key): value for key, value in row.items()})
    return runs


def _second(runs: dict[str, Run]) -> int:
    """The place of the largest share of the first run's seed; else simply of the next."""
    first = next(iter(runs.values())).row
    shares = [
        (run.row or {}).get("share")
        if run.row and run.row["kind"] == "toxic" and first and run.row["seed"] == first["seed"]
        else None
        for run in runs.values()
    ]
    best = max((share for share in shares if share is not None and not pd.isna(share)), default=None)
    return shares.index(best) if best is not None else min(1, len(runs) - 1)


def _settings(left_run: Run, right_run: Run) -> None:
    """The table of settings that differ, or of all."""
    all_settings = st.toggle("Show settings that are the same", key="same", bind="query-params")
    settings = settings_difference(left_run.settings(), right_run.settings(), with_same=all_settings)
    if settings.empty:
        st.caption("The two were set the same in everything.")
        return
    table = settings.rename(columns={"setting": "Setting", "left": "Left", "right": "Right", "same": "Same"})
    if not all_settings:
        table = table.drop(columns="Same")
    card.table(
        table,
        key="settings",
        title="Settings",
        alt="Settings of the two runs side by side",
        note=f"n = {len(table)} settings" + ("." if all_settings else " that differ."),
    )


def _label(row: Any) -> str:
    """A number (row) in words: its condition, prompts and scorer, and of a study its arm."""
    condition = (
        condition_label(row.method, row.strength, row.matched_cost, key=row.condition)
        if isinstance(row.method, str)
        else "checkpoint"
    )
    parts = [condition, row.prompt_set, row.scorer]
    if hasattr(row, "kind"):
        share = "" if is_imported(row.kind) else f" {row.share * 100:g} %"
        parts.insert(0, f"{row.kind}{share}")
    return ", ".join(str(part) for part in parts if isinstance(part, str) and part)


def _numbers(left_run: Run, right_run: Run) -> None:
    """The chart of differences in one measure; `table`: a row per number that both runs have."""
    keys = SUMMARY_KEYS if left_run.row is None else KEYS
    first, second = left_run.numbers(), right_run.numbers()
    if first.empty or second.empty:
        st.info("One of the two has no numbers yet.", icon=":material/hourglass_empty:")
        return
    table = number_difference(first, second, keys)
    if table.empty:
        st.info(
            "The two have no number of the same condition, prompts and scorer.",
            icon=":material/compare_arrows:",
        )
        return
    methods = first.drop_duplicates(keys)[[*keys, "method", "strength", "matched_cost"]]
    table = table.merge(methods, on=keys, how="left")
    measures = list(dict.fromkeys(sorted(table["name"], key=lambda name: (name != "toxicity", name))))
    measure = str(
        st.selectbox(
            "Measure", measures, format_func=metric_name, key="cmp_measure", bind="query-params", width=240
        )
    )
    numbers = table[table["name"] == measure].copy()
    numbers["label"] = [_label(row) for row in records(numbers)]
    unit = str(numbers["unit"].iloc[0])
    # The k-th random direction of one model has nothing to do with that of another.
    chart_rows = numbers[numbers["method"] != "random-direction"] if left_run.row is not None else numbers
    chart_rows = numbers if chart_rows.empty else chart_rows
    apart, counted, chance = expected_by_chance(chart_rows)
    cut = f" The first {MOST_LINES} of {len(chart_rows)} are drawn." if len(chart_rows) > MOST_LINES else ""
    cut += " Random directions are in the rows alone." if len(chart_rows) < len(numbers) else ""
    card.chart(
        differences(
            chart_rows.head(MOST_LINES), f"{metric_name(measure)}, right minus left ({unit})", dark=is_dark()
        ),
        key="compare",
        title=f"{metric_name(measure)}: right minus left",
        alt=f"Difference of {metric_name(measure)} between the two runs per condition, with intervals",
        guide=(
            "Left of the dotted line the right run has less. "
            "Bars: 95 % intervals made of both runs' own (MOVER)."
        ),
        note=(
            f"n = {len(chart_rows)} pairs of numbers of one pair of runs. No seed varies in these intervals, "
            f"so they say nothing of arms. {apart} of {counted} intervals leave zero out; about "
            f"{chance:.1f} would by chance alone. The two are taken as independent, which is careful for the "
            f"same prompts.{cut}"
        ),
        rows=numbers.drop(columns=["label"]),
    )


def compare(context: Context) -> None:
    """The pickers, the settings and the numbers; `runs`: name to run."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kinds = [ARMS, STUDIES] if len(context.studies) > 1 else [ARMS]
        run_kind = str(
            st.segmented_control(
                "Compare", kinds, default=ARMS, required=True, key="cmp", bind="query-params"
            )
        )
        runs = _runs(context, run_kind)
        if len(runs) < 2:
            st.info("There is nothing to compare yet: a second checkpoint or study is needed.")
            return
        names = list(runs)
        first = str(st.selectbox("Left", names, key="run1", bind="query-params", width=300))
        second = str(
            st.selectbox("Right", names, index=_second(runs), key="run2", bind="query-params", width=300)
        )
    left_run, right_run = runs[first], runs[second]
    if first == second:
        st.caption("Left and right are the same run.")
        return
    with st.container(border=True):
        _numbers(left_run, right_run)
    with st.container(border=True):
        _settings(left_run, right_run)
