"""What does detox cost? Toxicity against cost with intervals, and the texts behind every point."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import card, comparison, controls, rows, states
from dashboard.charts.drawn import Drawn, drawn
from dashboard.charts.tradeoff import condition_id, ring, tradeoff
from dashboard.colours import is_dark
from dashboard.context import Context, current
from dashboard.frontier import non_dominated
from dashboard.records import records
from dashboard.wording import (
    arm_label,
    condition_label,
    interval,
    is_second,
    method_label,
    metric_name,
)

TOXICITIES = ("toxicity", "fire_rate", "expected_max_toxicity")
KEYS = ["kind", "share", "condition_key"]


def on_click() -> None:
    """A point was clicked: it becomes the condition on show; an empty selection changes nothing."""
    picked = card.selected("tradeoff")
    if picked:
        st.session_state["condition"] = str(picked[0])


def answer(table: pd.DataFrame) -> None:
    """The frontier in one sentence."""
    real = table[table["method"] != "random-direction"].reset_index(drop=True)
    if real.empty:
        return
    front = real.iloc[non_dominated(list(zip(real["cost"], real["value"], strict=True)))]
    best = front.iloc[-1]
    worst = real[real["method"] == "none"].sort_values("value")
    how = condition_label(best["method"], best["strength"], best["matched_cost"], best["condition_key"])
    said = (
        f"The frontier runs from {front['value'].max():.3g} to {best['value']:.3g} {best['unit']} of "
        f"toxicity. Lowest: {arm_label(best['kind'], best['share'])}, {how}, at a cost of "
        f"{interval(best['cost'], best['cost_low'], best['cost_high'], 'nats')}."
    )
    if len(worst):
        said += (
            f" Without steering, arms lie between {worst['value'].iloc[0]:.3g} and "
            f"{worst['value'].iloc[-1]:.3g}."
        )
    st.markdown(f"#### {said}")


def family(table: pd.DataFrame) -> pd.Series:
    """What the method switch calls each row: its method, or `second` for the second set of directions."""
    return table["method"].where(~table["condition_key"].map(is_second).astype(bool), "second")


def method_order(table: pd.DataFrame) -> list[str]:
    """Methods other than none: steering first, then the others, combinations last."""
    first = ("iti", "second", "random-direction", "prompt", "sft", "dpo", "meda", "inst")
    known = [str(one) for one in family(table).unique() if one != "none"]
    return sorted(known, key=lambda one: (first.index(one) if one in first else len(first), one))


def pick_arms(joined: pd.DataFrame) -> list[str]:
    """Which arms; at first those of the dose and its control, and imported checkpoints."""
    order = joined.drop_duplicates("arm").sort_values(["kind", "share"], ascending=[False, True])
    order = order.assign(apart=order["kind"].isin(["meda", "inst", "slung"])).sort_values(
        "apart", kind="stable"
    )
    names = [str(name) for name in order["arm"]]
    first = [str(name) for name in order[~order["apart"]]["arm"]] or names
    picked = st.pills("Arms", names, selection_mode="multi", default=first, key="arms", bind="query-params")
    return [str(name) for name in picked or names]


def pick(context: Context, choices: pd.DataFrame) -> tuple[pd.DataFrame, str, str | None, str | None, bool]:
    """Controls, and the joined rows they choose."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = controls.view(controls.EVERY, controls.MATCHED, controls.FIXED, key="curve")
        known = [name for name in TOXICITIES if (choices["name"] == name).any()]
        name = st.selectbox(
            "Measure", known, format_func=metric_name, key="measure", bind="query-params", width=220
        )
        mine = choices[choices["name"] == name]
        prompts = controls.prompt_set(controls.by_size(mine))
        scorer = controls.scorer(controls.options(mine[mine["prompt_set"] == prompts]["scorer"]))
    joined = rows.summaries_with_cost(context, name=str(name), prompt_set=prompts, scorer=scorer)
    joined["arm"] = [arm_label(row.kind, row.share) for row in records(joined)]
    arms = pick_arms(joined)
    known = [one for one in method_order(joined) if one != "random-direction"]
    methods = st.pills(
        "Methods",
        known,
        selection_mode="multi",
        default=[one for one in known if "+" not in one and one != "second"],
        format_func=lambda one: "ITI, second directions" if one == "second" else method_label(one),
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
    kept = [*(methods or known), "none", "random-direction"]
    joined = joined[family(joined).isin(kept)]
    if not random:
        joined = joined[joined["method"] != "random-direction"]
    return controls.in_view(joined, view), str(name), prompts, scorer, scale == "Log"


def curves(table: pd.DataFrame, y_title: str, *, logarithmic: bool, frontier: bool = True) -> Drawn:
    """The curves with a ring round the condition on show."""
    dark, chosen = is_dark(), st.session_state.get("condition")
    made = drawn(tradeoff, table, y_title, dark=dark, chosen=None, logarithmic=logarithmic, frontier=frontier)
    return made.plus(traces=ring(table, chosen, dark=dark))


def fluency_card(
    context: Context,
    choices: pd.DataFrame,
    shown: pd.DataFrame,
    prompts: str | None,
    logarithmic: bool,
) -> None:
    """Fluency of the same conditions on the same axis."""
    known = controls.fluency(choices, prompts)
    if known is None:
        return
    name, scorer = known
    joined = rows.summaries_with_cost(context, name=name, prompt_set=prompts, scorer=scorer)
    mine = joined.merge(shown[KEYS].drop_duplicates(), on=KEYS)
    if mine.empty:
        return
    with st.container(border=True):
        card.chart(
            curves(
                mine,
                f"{metric_name(name)} ({mine['unit'].iloc[0]})",
                logarithmic=logarithmic,
                frontier=False,
            ),
            key="tradeoff_fluency",
            title=f"{metric_name(name)} of the same conditions",
            alt=f"{metric_name(name)} against added cross-entropy for the conditions on the left",
            how=(
                "A condition under which this rises while toxicity falls makes the model loop."
                if name == "repetition_4"
                else "A condition that lowers toxicity and this as well is breaking the language."
            ),
            note="Bars: 95 % intervals, both ways.",
            rows=mine,
        )


def texts(context: Context, table: pd.DataFrame, prompts: str | None, scorer: str | None) -> None:
    """The generations of the chosen condition beside the unsteered ones."""
    steered = table[table["method"] != "none"]
    if steered.empty or prompts is None or scorer is None:
        return
    ids = [condition_id(row) for row in records(steered)]
    st.subheader("Texts behind a point")
    chosen = st.selectbox(
        "Condition (or click a point above)", ids, key="condition", bind="query-params", width=460
    )
    row = steered.iloc[ids.index(chosen)]
    comparison.show(
        context, str(row["kind"]), float(row["share"]), str(row["condition_key"]), prompts, scorer
    )


context = current()
running = rows.study_progress(context).active
st.subheader("What does detox cost?")
choices = rows.summary_choices(context)
if not (choices["name"].isin(TOXICITIES)).any():
    states.not_yet("trade-offs", after="the evaluation of the first arm", running=running)
    states.end_page()
shown, name, prompts, scorer, logarithmic = pick(context, choices)
answer(shown)
unit = str(shown["unit"].iloc[0]) if len(shown) else ""
grid = st.grid(2, min_column_width=420)
with grid.cell(), st.container(border=True):
    card.chart(
        curves(shown, f"{metric_name(name)} ({unit})", logarithmic=logarithmic),
        key="tradeoff",
        title=f"{metric_name(name)} against cost",
        alt=f"{metric_name(name)} against added cross-entropy by arm and method, with the frontier",
        how=(
            "Down and left is better. Colour tells the arm, the marker the method. Each curve starts at "
            "its unsteered arm (open circle, cost 0); the wide grey line joins conditions that no other "
            "beats in both. Click a point for its texts."
        ),
        note="Bars: 95 % intervals, both ways.",
        rows=shown,
        on_select=on_click,
    )
with grid.cell():
    fluency_card(context, choices, shown, prompts, logarithmic)
texts(context, shown, prompts, scorer)
