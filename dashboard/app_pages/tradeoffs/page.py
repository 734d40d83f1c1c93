"""What does detox cost? Toxicity against cost with intervals, and the texts behind every point."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.tradeoffs import comparison, nulls_view
from hormesis.dashboard.base import selection
from hormesis.dashboard.base.headlines import headline
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import (
    condition_label,
    gate_bounds,
    gate_tally,
    is_second,
    method_label,
    metric_name,
    plain,
)
from hormesis.dashboard.charts.figure_cache import Drawn, drawn
from hormesis.dashboard.charts.frame import evenly
from hormesis.dashboard.charts.tradeoff import fewer_prompts, ring, style_of, tradeoff
from hormesis.dashboard.parts import card, states
from hormesis.dashboard.parts.answer import answer
from hormesis.dashboard.rows.answers import study_headline
from hormesis.dashboard.rows.context import Context, context_of, current, current_choice, study_names
from hormesis.db.contract.gates import FAILS
from hormesis.db.contract.methods import ITI, MARKED, PREFIXED, RANDOM_DIRECTION, TUNED, VARIANTS

TEXTS, TABLE, LANGUAGE, NULLS = "Texts behind a point", "All conditions", "Fluency", "Null directions"
MOST_ARMS = 6
"""Arms drawn at first; more colours than these cannot be told apart."""
TOXICITIES = ("toxicity", "fire_rate", "expected_max_toxicity")
KEYS = ["kind", "share", "condition_key"]


def on_click() -> None:
    """A point was clicked: its texts are shown, from the first; an empty selection changes nothing."""
    condition_keys = card.selected("tradeoff")
    if not condition_keys:
        return
    name = str(condition_keys[0])
    if st.session_state["behind"] != TEXTS:
        # A control that is not drawn yet takes the session's word without putting it into the link.
        st.query_params["condition"] = name
    st.session_state.update({"condition": name, "behind": TEXTS, "page": 1})


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


def usual_arms(arms: pd.DataFrame) -> list[str]:
    """The arms drawn before any is chosen, at most MOST_ARMS; `arms`: a row each, dose first.

    The dose, its control and imported checkpoints; of many doses some evenly over the shares.
    """
    usual = arms[~arms["kind"].isin(VARIANTS)]
    usual = usual if len(usual) else arms
    dose, others = usual[usual["kind"] == "toxic"], usual[usual["kind"] != "toxic"]
    names = [str(name) for name in others["arm"]][: MOST_ARMS // 3 if len(dose) else MOST_ARMS]
    doses = [str(dose["arm"].iloc[place]) for place in evenly(len(dose), MOST_ARMS - len(names))]
    return [*doses, *names]


def pick_arms(conditions: pd.DataFrame) -> list[str]:
    """Names of the arms chosen; at first those of `usual_arms`."""
    arms = conditions.drop_duplicates("arm")
    arms = arms.sort_values(["study", "kind", "share"], ascending=[True, False, True])
    arm_names, usual = [str(name) for name in arms["arm"]], usual_arms(arms)
    chosen = st.pills(
        "Arms", arm_names, selection_mode="multi", default=usual, key="arms", bind="query-params",
        format_func=plain,
    )  # fmt: skip
    return [str(name) for name in chosen or arm_names]


def also_from(context: Context) -> list[str]:
    """Names of other studies whose arms are drawn as well."""
    others = [name for name in study_names(context.studies) if name != st.session_state.get("study")]
    if not others:
        return []
    names = st.multiselect(
        "Arms of other studies", others, key="also", bind="query-params",
        help="Their curves are dotted. Costs are comparable where the held-out text and tokenizer are.",
    )  # fmt: skip
    return [str(name) for name in names]


def conditions_of(context: Context, measure: str, others: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """A row per arm and condition of the study on show and of others, and the others that have none.

    `arm`: the arm in words; `study`: the name of another study, empty for the one on show.
    """
    choice, labels = current_choice(), study_names(context.studies)
    parts, lacking = [], []
    for name in ("", *others):
        of_study = context_of(context, context.studies, labels.index(name)) if name else context
        conditions = rows.summaries_with_cost(
            of_study, name=measure, prompt_set=choice.prompt_set, scorer=choice.scorer
        )
        if conditions.empty and name:
            lacking.append(name)
            continue
        arms = [style_of(row.kind, row.share, name).label for row in records(conditions)]
        parts.append(conditions.assign(study=name, arm=arms))
    return pd.concat(parts, ignore_index=True), lacking


@dataclass(frozen=True)
class View:
    """What the chart shows: conditions (a row per arm and condition), measure, axis; `note`: what is left."""

    conditions: pd.DataFrame
    measure: str
    is_logarithmic: bool
    note: str


def pick(context: Context, choices: pd.DataFrame, above: card.Header) -> View:
    """The chart's own controls and the rows they choose; `choices`: of `summary_choices`."""
    choice = current_choice()
    with above.options():
        measures = [measure for measure in TOXICITIES if (choices["name"] == measure).any()]
        measure = str(
            st.selectbox("Measure", measures, format_func=metric_name, key="measure", bind="query-params")
        )
        joined, lacking = conditions_of(context, measure, also_from(context))
        arms = pick_arms(joined)
        method_names = [method for method in method_order(joined) if method != "random-direction"]
        methods = st.pills(
            "Methods",
            method_names,
            selection_mode="multi",
            default=[method for method in method_names if "+" not in method and method != "second"],
            format_func=lambda method: (
                "ITI, second directions" if method == "second" else method_label(method)
            ),
            key="methods",
            bind="query-params",
            help="Second directions come from another source of labelled statements than the first.",
        )
        scale = st.segmented_control(
            "Cost axis", ["Linear", "Log"], default="Linear", required=True, key="scale", bind="query-params",
            help="A logarithmic axis leaves out conditions that cost nothing or less.",
        )  # fmt: skip
        random = st.toggle("Null directions", value=True, key="random", bind="query-params")
        passing = st.toggle(
            "Hide what fails a gate", key="passing", bind="query-params", help=gate_bounds(context.config)
        )
    in_arms = joined[joined["arm"].isin(arms)]
    drawn_methods = [*(methods or method_names), "none", *(["random-direction"] if random else [])]
    conditions = selection.in_view(in_arms[family(in_arms).isin(drawn_methods)], choice.view)
    count = joined["arm"].nunique()
    note = f"{len(arms)} of {count} arms are drawn; Options has all. " if len(arms) < count else ""
    note += gate_tally(conditions, hidden=passing)
    conditions = conditions[conditions["gate_status"] != FAILS] if passing else conditions
    if lacking:
        note += f" No {metric_name(measure).lower()} on these prompts by this scorer in {', '.join(lacking)}."
    return View(conditions, measure, scale == "Log", note)


def curves(conditions: pd.DataFrame, y_title: str, *, logarithmic: bool, frontier: bool = True) -> Drawn:
    """The curves with a ring round the condition on show; `conditions`: a row each."""
    dark, chosen = is_dark(), st.session_state.get("condition")
    chart = drawn(
        tradeoff, conditions, y_title, dark=dark, chosen=None, logarithmic=logarithmic, frontier=frontier
    )
    return chart.plus(traces=ring(conditions, chosen, dark=dark))


def frontier(context: Context, choices: pd.DataFrame) -> View:
    """The answer and the frontier chart; gives back what it shows."""
    choice = current_choice()
    answer(study_headline(context, "tradeoffs", choice))
    states.empty_note(context, choice.prompt_set)
    with st.container(border=True):
        above = card.header("tradeoff")
        view = pick(context, choices, above)
        name, unit = metric_name(view.measure), str(next(iter(view.conditions["unit"]), ""))
        card.chart(
            curves(view.conditions, f"{name} ({unit})", logarithmic=view.is_logarithmic),
            key="tradeoff",
            title=f"{name} against cost",
            alt=f"{name} against added cross-entropy by arm and method, with a frontier per arm",
            guide=(
                "Down and left is better. Colour tells the arm, the marker the method; a wide pale line is "
                "the frontier of an arm with several methods. Click a point for its texts."
            ),
            note=" ".join(
                filter(None, ("Bars: 95 % intervals, both ways.", fewer_prompts(view.conditions), view.note))
            ),
            rows=view.conditions,
            on_select=on_click,
            above=above,
        )
    return view


def language(context: Context, choices: pd.DataFrame, view: View) -> None:
    """Fluency of the same conditions on the same axis; `choices`: rows of `summary_choices`."""
    prompt_set = current_choice().prompt_set
    metric = selection.fluency(choices, prompt_set)
    if metric is None:
        st.info("No measure of fluency was made on these prompts.", icon=":material/info:")
        return
    fluency_name, scorer = metric
    joined = rows.summaries_with_cost(context, name=fluency_name, prompt_set=prompt_set, scorer=scorer)
    fluency = joined.merge(view.conditions[KEYS].drop_duplicates(), on=KEYS)
    unit = str(next(iter(fluency["unit"]), ""))
    with st.container(border=True):
        card.chart(
            curves(
                fluency,
                f"{metric_name(fluency_name)} ({unit})",
                logarithmic=view.is_logarithmic,
                frontier=False,
            ),
            key="tradeoff_fluency",
            title=f"{metric_name(fluency_name)} of the same conditions",
            alt=f"{metric_name(fluency_name)} against added cross-entropy for the conditions above",
            guide=(
                "A condition under which this rises while toxicity falls makes the model loop."
                if fluency_name == "repetition_4"
                else "A condition that lowers toxicity and this as well is breaking the language."
            ),
            note="Bars: 95 % intervals, both ways.",
            rows=fluency,
        )


def condition_table(context: Context, conditions: pd.DataFrame) -> None:
    """Every condition on show as a table that sorts by any column; `conditions`: a row each."""
    table = pd.DataFrame(
        {
            "Arm": conditions["arm"],
            "Condition": [
                condition_label(row.method, row.strength, row.matched_cost, key=row.condition_key)
                for row in records(conditions)
            ],
            **{
                title: conditions[name]
                for title, name in (
                    ("Toxicity", "value"), ("low", "low"), ("high", "high"), ("Cost (nats)", "cost"),
                    ("Gates", "gates"),
                    ("cost, low", "cost_low"), ("cost, high", "cost_high"), ("Seeds", "n_seeds"), ("n", "n"),
                )
            },
        }
    )  # fmt: skip
    number_columns = {
        name: st.column_config.NumberColumn(format="%.2f") for name in ("Toxicity", "low", "high")
    }
    number_columns |= {
        name: st.column_config.NumberColumn(format="%.3f")
        for name in ("Cost (nats)", "cost, low", "cost, high")
    }
    with st.container(border=True):
        card.table(
            table.sort_values(["Toxicity", "Cost (nats)"], kind="stable"),
            key="conditions",
            title="All conditions on show",
            alt="Every arm and condition with toxicity and cost, intervals, seeds and n",
            column_config=number_columns,
            out=conditions,
            note=(
                "Lowest toxicity first; click a column to sort by it. Low and high: 95 % intervals. "
                f"{gate_bounds(context.config)}"
            ),
        )


context = current()
choices = rows.summary_choices(context)
if not (choices["name"].isin(TOXICITIES)).any():
    answer(headline("tradeoffs", rows.verdicts(context)))
    running = rows.study_progress(context).active
    states.not_yet("trade-offs", after="the evaluation of the first arm", running=running)
    states.end_page()
view = frontier(context, choices)
effects = selection.within_choice(rows.null_effects(context), current_choice())
sections = [TEXTS, TABLE, LANGUAGE, *([NULLS] if len(effects) else [])]
section = st.segmented_control(
    "More", sections, default=TEXTS, required=True, key="behind", bind="query-params",
    label_visibility="collapsed",
)  # fmt: skip
if section == LANGUAGE:
    language(context, choices, view)
elif section == NULLS:
    nulls_view.show(effects)
elif section == TABLE:
    condition_table(context, view.conditions)
else:
    of_study = view.conditions[view.conditions["study"] == ""]
    comparison.show(context, of_study, current_choice())
