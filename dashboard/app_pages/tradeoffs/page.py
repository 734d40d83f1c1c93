"""What does detox cost? Toxicity against cost with intervals, and the texts behind every point."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.tradeoffs import comparison
from hormesis.dashboard.base import selection
from hormesis.dashboard.base.frontier import non_dominated
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import (
    arm_label,
    condition_label,
    interval,
    is_second,
    method_label,
    metric_name,
)
from hormesis.dashboard.charts.figure_cache import Drawn, drawn
from hormesis.dashboard.charts.tradeoff import condition_id, ring, tradeoff
from hormesis.dashboard.parts import card, controls, states
from hormesis.dashboard.rows.context import Context, current
from hormesis.db.contract.methods import ITI, MARKED, PREFIXED, RANDOM_DIRECTION, TUNED, VARIANTS

TOXICITIES = ("toxicity", "fire_rate", "expected_max_toxicity")
KEYS = ["kind", "share", "condition_key"]


def on_click() -> None:
    """A point was clicked: it becomes the condition on show; an empty selection changes nothing."""
    condition_keys = card.selected("tradeoff")
    if condition_keys:
        st.session_state["condition"] = str(condition_keys[0])


def answer(conditions: pd.DataFrame) -> None:
    """The frontier in one sentence; `conditions`: a row per arm and condition with its cost."""
    real = conditions[conditions["method"] != "random-direction"].reset_index(drop=True)
    if real.empty:
        return
    front = real.iloc[non_dominated(list(zip(real["cost"], real["value"], strict=True)))]
    best = front.iloc[-1]
    worst = real[real["method"] == "none"].sort_values("value")
    label = condition_label(best["method"], best["strength"], best["matched_cost"], key=best["condition_key"])
    sentence = (
        f"The frontier runs from {front['value'].max():.3g} to {best['value']:.3g} {best['unit']} of "
        f"toxicity. Lowest: {arm_label(best['kind'], best['share'])}, {label}, at a cost of "
        f"{interval(best['cost'], best['cost_low'], best['cost_high'], unit='nats')}."
    )
    if len(worst):
        sentence += (
            f" Without steering, arms lie between {worst['value'].iloc[0]:.3g} and "
            f"{worst['value'].iloc[-1]:.3g}."
        )
    st.markdown(f"#### {sentence}")


def family(conditions: pd.DataFrame) -> pd.Series:
    """What the method switch calls each row: its method, or `second` for the second set of directions."""
    return conditions["method"].where(~conditions["condition_key"].map(is_second).astype(bool), "second")


def method_order(conditions: pd.DataFrame) -> list[str]:
    """Methods in `conditions` other than none: steering first, then the others, combinations last."""
    first = (ITI, "second", RANDOM_DIRECTION, *PREFIXED, *TUNED, *MARKED)
    methods = [str(method) for method in family(conditions).unique() if method != "none"]
    return sorted(
        methods, key=lambda method: (first.index(method) if method in first else len(first), method)
    )


def pick_arms(conditions: pd.DataFrame) -> list[str]:
    """Names of the arms chosen; at first the dose, its control and imported ones (not those `apart`)."""
    arm_rows = conditions.drop_duplicates("arm").sort_values(["kind", "share"], ascending=[False, True])
    arm_rows = arm_rows.assign(apart=arm_rows["kind"].isin(VARIANTS)).sort_values("apart", kind="stable")
    arm_names = [str(name) for name in arm_rows["arm"]]
    default = [str(name) for name in arm_rows[~arm_rows["apart"]]["arm"]] or arm_names
    chosen = st.pills(
        "Arms", arm_names, selection_mode="multi", default=default, key="arms", bind="query-params"
    )
    return [str(name) for name in chosen or arm_names]


@dataclass(frozen=True)
class Choice:
    """What the controls choose: the conditions, and the measure they are drawn by."""

    conditions: pd.DataFrame
    measure: str
    prompt_set: str | None
    scorer: str | None
    is_logarithmic: bool


def pick(context: Context, choices: pd.DataFrame) -> Choice:
    """Controls, and the rows they choose (an arm and condition each); `choices`: of `summary_choices`."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = controls.view(selection.EVERY, selection.MATCHED, selection.FIXED, key="curve")
        measures = [measure for measure in TOXICITIES if (choices["name"] == measure).any()]
        measure = st.selectbox(
            "Measure", measures, format_func=metric_name, key="measure", bind="query-params", width=220
        )
        of_measure = choices[choices["name"] == measure]
        prompt_set = controls.prompt_set(selection.by_size(of_measure))
        of_prompts = of_measure[of_measure["prompt_set"] == prompt_set]
        scorer = controls.scorer(selection.options(of_prompts["scorer"]))
    joined = rows.summaries_with_cost(context, name=str(measure), prompt_set=prompt_set, scorer=scorer)
    joined["arm"] = [arm_label(row.kind, row.share) for row in records(joined)]
    arms = pick_arms(joined)
    method_names = [method for method in method_order(joined) if method != "random-direction"]
    methods = st.pills(
        "Methods",
        method_names,
        selection_mode="multi",
        default=[method for method in method_names if "+" not in method and method != "second"],
        format_func=lambda method: "ITI, second directions" if method == "second" else method_label(method),
        key="methods",
        bind="query-params",
        help="Second directions come from another source of labelled statements than the first.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        scale = st.segmented_control(
            "Cost axis", ["Linear", "Log"], default="Linear", required=True, key="scale", bind="query-params",
            help="A logarithmic axis leaves out conditions that cost nothing or less.",
        )  # fmt: skip
        random = st.toggle("Random directions", value=True, key="random", bind="query-params")
    joined = joined[joined["arm"].isin(arms)]
    families = [*(methods or method_names), "none", "random-direction"]
    joined = joined[family(joined).isin(families)]
    if not random:
        joined = joined[joined["method"] != "random-direction"]
    return Choice(selection.in_view(joined, view), str(measure), prompt_set, scorer, scale == "Log")


def curves(conditions: pd.DataFrame, y_title: str, *, logarithmic: bool, frontier: bool = True) -> Drawn:
    """The curves with a ring round the condition on show; `conditions`: a row each."""
    dark, chosen = is_dark(), st.session_state.get("condition")
    chart = drawn(
        tradeoff, conditions, y_title, dark=dark, chosen=None, logarithmic=logarithmic, frontier=frontier
    )
    return chart.plus(traces=ring(conditions, chosen, dark=dark))


def fluency_card(context: Context, choices: pd.DataFrame, choice: Choice) -> None:
    """Fluency of the same conditions on the same axis; `choices`: rows of `summary_choices`."""
    metric = selection.fluency(choices, choice.prompt_set)
    if metric is None:
        return
    fluency_name, scorer = metric
    joined = rows.summaries_with_cost(context, name=fluency_name, prompt_set=choice.prompt_set, scorer=scorer)
    fluency = joined.merge(choice.conditions[KEYS].drop_duplicates(), on=KEYS)
    if fluency.empty:
        return
    with st.container(border=True):
        card.chart(
            curves(
                fluency,
                f"{metric_name(fluency_name)} ({fluency['unit'].iloc[0]})",
                logarithmic=choice.is_logarithmic,
                frontier=False,
            ),
            key="tradeoff_fluency",
            title=f"{metric_name(fluency_name)} of the same conditions",
            alt=f"{metric_name(fluency_name)} against added cross-entropy for the conditions on the left",
            guide=(
                "A condition under which this rises while toxicity falls makes the model loop."
                if fluency_name == "repetition_4"
                else "A condition that lowers toxicity and this as well is breaking the language."
            ),
            note="Bars: 95 % intervals, both ways.",
            rows=fluency,
        )


def texts(context: Context, conditions: pd.DataFrame, prompt_set: str | None, *, scorer: str | None) -> None:
    """The generations of the chosen condition beside the unsteered ones; `ids`: conditions in words."""
    steered = conditions[conditions["method"] != "none"]
    if steered.empty or prompt_set is None or scorer is None:
        return
    ids = [condition_id(row) for row in records(steered)]
    st.subheader("Texts behind a point")
    chosen = st.selectbox(
        "Condition (or click a point above)", ids, key="condition", bind="query-params", width=460
    )
    row = steered.iloc[ids.index(chosen)]
    comparison.show(
        context,
        str(row["kind"]),
        float(row["share"]),
        condition_key=str(row["condition_key"]),
        prompt_set=prompt_set,
        scorer=scorer,
    )


context = current()
running = rows.study_progress(context).active
st.subheader("What does detox cost?")
choices = rows.summary_choices(context)
if not (choices["name"].isin(TOXICITIES)).any():
    states.not_yet("trade-offs", after="the evaluation of the first arm", running=running)
    states.end_page()
choice = pick(context, choices)
conditions, name = choice.conditions, choice.measure
answer(conditions)
unit = str(conditions["unit"].iloc[0]) if len(conditions) else ""
grid = st.grid(2, min_column_width=420)
with grid.cell(), st.container(border=True):
    card.chart(
        curves(conditions, f"{metric_name(name)} ({unit})", logarithmic=choice.is_logarithmic),
        key="tradeoff",
        title=f"{metric_name(name)} against cost",
        alt=f"{metric_name(name)} against added cross-entropy by arm and method, with the frontier",
        guide=(
            "Down and left is better. Colour tells the arm, the marker the method. Each curve starts at "
            "its unsteered arm (open circle, cost 0); the wide grey line joins conditions that no other "
            "beats in both. Click a point for its texts."
        ),
        note="Bars: 95 % intervals, both ways.",
        rows=conditions,
        on_select=on_click,
    )
with grid.cell():
    fluency_card(context, choices, choice)
texts(context, conditions, choice.prompt_set, scorer=choice.scorer)
