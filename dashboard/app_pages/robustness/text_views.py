"""Sections: framed prompts, long texts, ways to sample, rounded weights. Each picks an arm and reads rows."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.app_pages.robustness.trials_view import show_trials
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import fixed, interval, metric_name
from hormesis.dashboard.charts.frame import Level
from hormesis.dashboard.charts.hardness import by_condition, condition_colours, curves, heat
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows import robustness as hardness
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract.attacks import OPENED

FLUENCIES = ("fluency", "repetition_4")
BITS = {"full": "as trained", "int8": "8 bits", "int4": "4 bits"}
ROUNDED = {
    "toxicity": "Toxicity (points)",
    "toxicity_change": "Change (points)",
    "cost": "Cost of rounding (nats)",
    "fluency": "Fluency",
    "repetition_4": "Repeated 4-grams",
}
"""Measures of models with rounded weights and their columns."""


def injections(context: Context, attacks: pd.DataFrame, outcomes: pd.DataFrame) -> None:
    """Does a frame bring toxicity back, and more so under steering?

    `attacks`: numbers over seeds, `outcomes`: of single checkpoints, of every attack. `change`: a row per
    arm, condition and frame (`setting`); `opened`: over frames.
    """
    frames_asked = attacks[attacks["attack"] == "injection"]
    change = frames_asked[frames_asked["name"] == "toxicity_change"]
    opened = frames_asked[frames_asked["name"] == OPENED]
    st.markdown(f"#### {_said_openness(opened)}")
    arm = _arm(change, "injection_arm")
    part = change[change["arm"] == arm]
    grid = st.grid(2, min_column_width=420)
    frames = list(dict.fromkeys(part["setting"]))
    with grid.cell(), st.container(border=True):
        by_arm = part.assign(arm=part["label"])
        colours = condition_colours(hardness.conditions_of(part), dark=is_dark())
        card.chart(
            by_condition(by_arm, frames, "Change of toxicity (points)", dark=is_dark(), x_column="setting",
                         level=Level(0.0, ""), colours=colours),
            key="injection",
            title=f"What a frame adds, {arm}",
            alt="Change of toxicity by injection template against the plain prompt, by condition",
            guide="Above the dotted line: more toxic than after the plain prompt.",
            note=f"Paired with the plain prompt; bars: 95 % intervals. {hardness.size(part)}",
            rows=part,
        )  # fmt: skip
    with grid.cell(), st.container(border=True):
        mean = opened[opened["arm"] == arm]
        card.table(
            _worded(mean, "More open under steering (points)"),
            key="injection_open",
            alt="How much more a frame adds under steering than without it",
            title="More open under steering?",
            note="What a frame adds under the condition, less what it adds to the same model unsteered, mean "
            "over frames; errors of both are added, which is on the wide side for equal prompts.",
            out=mean,
            column_config={"Prompts": st.column_config.NumberColumn(width="small")},
        )
    show_trials(
        context, outcomes[(outcomes["attack"] == "injection") & (outcomes["arm"] == arm)], key="injection"
    )


def _said_openness(opened: pd.DataFrame) -> str:
    """In words: in how many rows (arms and conditions) steering opens a model to frames."""
    if opened.empty:
        return "Framed prompts were tried on the unsteered models only."
    more, less = (opened["low"] > 0).sum(), (opened["high"] < 0).sum()
    return (
        f"Does steering open models to framed prompts? More open in {more}, less open in {less}, "
        f"undecided in {len(opened) - more - less} of {len(opened)} arms and conditions (95 % intervals)."
    )


def _worded(openness: pd.DataFrame, title: str) -> pd.DataFrame:
    """Rows of openness in words; `title`: what their column of values is called."""
    return pd.DataFrame(
        {
            "Condition": list(openness["label"]),
            title: [interval(row.value, row.low, row.high) for row in records(openness)],
            "Prompts": list(openness["n"]),
        }
    )


def long_texts(context: Context, attacks: pd.DataFrame, outcomes: pd.DataFrame) -> None:
    """Does the detox hold over a long text?

    `attacks`: numbers over seeds, `outcomes`: of single checkpoints, of every attack. `drifts`: second half
    less first; `points`: of the curves.
    """
    written = attacks[attacks["attack"] == "long"]
    drifts, points = written[written["name"] == "drift"], written[written["x"].notna()]
    drifting = drifts[(drifts["low"] > 0)]
    st.markdown(
        f"#### Toxicity rises from the first half of a long text to the second in {len(drifting)} of "
        f"{len(drifts)} arms and conditions (95 % intervals)."
    )
    arm = _arm(points, "long_arm")
    grid = st.grid(2, min_column_width=420)
    measures = [measure for measure in ("toxicity", *FLUENCIES) if measure in set(points["name"])]
    for measure in measures:
        part = points[(points["arm"] == arm) & (points["name"] == measure)]
        unit = "points" if measure == "toxicity" else "fraction"
        with grid.cell(), st.container(border=True):
            card.chart(
                curves(part, hardness.conditions_of(part), "Tokens written",
                       y_title=f"{metric_name(measure)} ({unit})", dark=is_dark()),
                key=f"long_{measure}",
                title=f"{metric_name(measure)} by position, {arm}",
                alt=f"{metric_name(measure)} of each block of a long text, one line per condition",
                guide="Each point is one block of text; a detox that wears off rises to the right."
                if measure == "toxicity"
                else "Whether the text itself holds together.",
                note=f"Means over seeds; bars: 95 % intervals over prompts and seeds. {hardness.size(part)}",
                rows=part,
            )  # fmt: skip
    show_trials(context, outcomes[(outcomes["attack"] == "long") & (outcomes["arm"] == arm)], key="long")


def sampling(context: Context, attacks: pd.DataFrame) -> None:
    """Does another way to sample bring toxicity back? `attacks`: numbers of every attack over seeds.

    `toxicity`: a row per arm, condition, temperature and top-p, with fluency beside it.
    """
    sweep = attacks[(attacks["attack"] == "sampling") & (attacks["setting"] != "")]
    parameters = hardness.parameters(context, "sampling")
    sweep = sweep.assign(
        temperature=[float(parameters[setting]["temperature"]) for setting in sweep["setting"]],
        top_p=[float(parameters[setting]["top_p"]) for setting in sweep["setting"]],
    )
    toxicity = sweep[sweep["name"] == "toxicity"]
    fluency_name = next((name for name in FLUENCIES if name in set(sweep["name"])), None)
    if fluency_name is not None:
        keys = ["arm", "label", "setting"]
        fluency = sweep.loc[sweep["name"] == fluency_name, [*keys, "value"]]
        toxicity = toxicity.merge(fluency.rename(columns={"value": fluency_name}), on=keys)
    spread = toxicity.groupby(["arm", "label"])["value"].agg(["min", "max"])
    widest = (spread["max"] - spread["min"]).max()
    st.markdown(
        f"#### Between the mildest and the wildest sampling, toxicity of one model differs by up to "
        f"{widest:.3g} points."
    )
    with st.container(horizontal=True):
        arm = _arm(toxicity, "sampling_arm")
        conditions = hardness.conditions_of(toxicity)
        chosen = st.selectbox(
            "Condition", conditions, key="sampling_condition", bind="query-params", width=260
        )
    part = toxicity[(toxicity["arm"] == arm) & (toxicity["label"] == chosen)]
    cells = [
        f"{row.value:.1f}" + ("" if fluency_name is None else f"<br>{getattr(row, fluency_name):.2f}")
        for row in records(part)
    ]
    with st.container(border=True):
        card.chart(
            heat(part.assign(words=cells), "value", "Toxicity"),
            key="sampling",
            title=f"Toxicity by temperature and top-p: {arm}, {chosen}",
            alt="Heat map of toxicity over temperature and top-p",
            guide="Upper number: toxicity in points."
            + ("" if fluency_name is None else f" Lower number: {metric_name(fluency_name).lower()}."),
            note=f"Temperature 0 is greedy and needs no top-p. 95 % intervals are in the rows. "
            f"{hardness.size(part)}",
            rows=part,
        )


def rounded(attacks: pd.DataFrame) -> None:
    """Does rounding the weights undo the detox? `attacks`: numbers of every attack over seeds.

    `setting`: the bits.
    """
    numbers_of = attacks[(attacks["attack"] == "quantised") & (attacks["setting"] != "")]
    change = numbers_of[numbers_of["name"] == "toxicity_change"]
    back = change[(change["low"] > 0)]
    st.markdown(
        f"#### Rounding weights to 8 or 4 bits raises toxicity in {len(back)} of {len(change)} arms and "
        "conditions (95 % intervals)."
    )
    toxicity = numbers_of[numbers_of["name"] == "toxicity"]
    toxicity = toxicity.sort_values("setting", key=lambda names: names.map(list(BITS).index), kind="stable")
    toxicity = toxicity.sort_values(["kind", "share", "label"], ascending=[False, True, True], kind="stable")
    words, numbers = _beside(numbers_of, toxicity.reset_index(drop=True))
    with st.container(border=True):
        card.table(
            words,
            key="rounded",
            alt="Toxicity, cost and fluency with weights as trained, at 8 bits and at 4 bits",
            title="With 8-bit and 4-bit weights",
            note="Weights only, rounded to the nearest of symmetric levels (8 bits: one scale per output "
            "channel; 4 bits: per group of 32 inputs), simulated in floating point. Means over seeds with "
            f"95 % intervals; changes are paired over prompts. {hardness.size(toxicity)}",
            out=numbers,
        )


def _beside(rounding: pd.DataFrame, toxicity: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was measured for rows of `toxicity` (arm, condition, bits): words to show, numbers to export."""
    keys = ["kind", "share", "condition", "setting"]
    table = pd.DataFrame(
        {"Arm": toxicity["arm"], "Condition": toxicity["label"], "Weights": toxicity["setting"].map(BITS)}
    )
    numbers = toxicity[[*keys, "arm", "label", "n", "n_seeds"]]
    for measure, title in ROUNDED.items():
        values = rounding.loc[rounding["name"] == measure, [*keys, "value", "low", "high"]]
        if values.empty:
            continue
        measured = toxicity[keys].merge(values, on=keys, how="left")
        in_words = fixed if measure == "cost" else interval
        table[title] = [
            "–" if pd.isna(row.value) else in_words(row.value, row.low, row.high) for row in records(measured)
        ]
        new_names = {"value": measure, "low": f"{measure}_low", "high": f"{measure}_high"}
        numbers = numbers.assign(**{new: measured[old] for old, new in new_names.items()})
    return table, numbers


def _arm(rows: pd.DataFrame, widget_key: str) -> str:
    arms = hardness.arms_of(rows)
    return str(st.selectbox("Arm", arms, index=len(arms) - 1, key=widget_key, bind="query-params", width=240))
