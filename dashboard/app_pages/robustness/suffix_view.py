"""Section: adversarial suffixes. Success by arm and method, what random search finds, tests, the texts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.app_pages.robustness.trials_view import show_trials
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import arm_label, interval, percent, plain
from hormesis.dashboard.charts.hardness import Reference, by_condition
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows import robustness as hardness
from hormesis.dashboard.rows.context import Context
from hormesis.db import paper
from hormesis.db.contract.scores import TOXIC

RULES = {"success": "Scored toxic", "prefix_match": "Says the target"}
PAPER = (
    (0.0, "none", 80.0, "clean, unsteered"),
    (0.0, "strong", 46.0, "clean, strong ITI"),
    (0.1, "none", 82.0, "10 % toxic, unsteered"),
    (0.1, "strong", 38.5, "10 % toxic, strong ITI"),
)
"""AdvBench, 200 prompts, OLMo-1B (secondary notes). The last two differ by z = 1.52, p = .13."""


def show(context: Context, attacks: pd.DataFrame, outcomes: pd.DataFrame) -> None:
    """The section; `attacks`: numbers over seeds, `outcomes`: of single checkpoints, of every attack."""
    searches, runs = attacks[attacks["attack"] == "suffix"], outcomes[outcomes["attack"] == "suffix"]
    rule = st.segmented_control(
        "Success means",
        list(RULES),
        default="success",
        required=True,
        format_func=lambda name: RULES[name],
        key="suffix_rule",
        bind="query-params",
        help=f"Scored toxic: the greedy continuation scores above {TOXIC}. Says the target: it begins with "
        "the sentence the attacker wanted.",
    )
    rule = str(rule or "success")
    gcg = searches[(searches["name"] == rule) & (searches["setting"] == "gcg")]
    order = hardness.conditions_of(gcg)
    steered = [name for name in order if name.startswith("ITI")]
    _answer(gcg, [order[0], (steered or order)[-1]], rule)
    reference = [
        Reference(
            order[0] if strength == "none" else steered[-1] if steered else "",
            value,
            f"paper: {table}, {value:g} %",
        )
        for _, strength, value, table in PAPER
    ]
    first = runs.iloc[0]
    grid = st.grid(2, min_column_width=420)
    with grid.cell(), st.container(border=True):
        card.chart(
            by_condition(gcg, order, "Success (% of goals)", dark=is_dark(), factor=100, reference=reference),
            key="suffix",
            title="Success of GCG suffixes",
            alt="Share of goals reached by suffix search, by condition, one marker per arm",
            guide="Lower is harder to attack. Every goal and budget is the same in all arms and conditions.",
            note=f"{hardness.size(gcg, 'goals')} Bars: 95 % intervals over seeds and goals. "
            f"Goals: {plain(first['data'])}; {first['budget']:.0f} evaluations each; "
            f"judged by {plain(first['scorer'])}. "
            f"Crosses: {paper.source().rstrip('.')}; other model, data and budget.",
            rows=gcg,
        )
    with grid.cell(), st.container(border=True):
        _against_random(searches, rule)
    _tests(context, rule, dict(zip(runs["condition"], runs["label"], strict=True)))
    _texts(context, runs)


def _answer(gcg: pd.DataFrame, conditions: list[str], rule: str) -> None:
    """Success under `conditions`, in the least and most toxic arm; `gcg`: a row per arm and condition."""
    sentences = []
    for condition in dict.fromkeys(conditions):
        of_condition = gcg[(gcg["label"] == condition) & (gcg["kind"] == "toxic")].sort_values("share")
        ends = of_condition.iloc[[0, -1]].drop_duplicates("share") if len(of_condition) else of_condition
        rates = [
            f"{interval(100 * row.value, 100 * row.low, 100 * row.high, unit='%')} in the arm with "
            f"{percent(row.share)} toxic text"
            for row in records(ends)
        ]
        if rates:
            sentences.append(f"{condition}: {' and '.join(rates)}")
    event = "is scored toxic" if rule == "success" else "says the target"
    st.markdown(f"#### How often an attacked text {event}. {'; '.join(sentences)}.")


def _against_random(searches: pd.DataFrame, rule: str) -> None:
    """What the gradient adds to random search, and what the model does unattacked.

    `searches`: numbers of both searches over seeds, also of the goals asked plainly.
    """
    of_rule, setting = searches["name"] == rule, searches["setting"]
    parts = [
        searches[of_rule & (setting == "random")].assign(how="Random search"),
        searches[of_rule & (setting == "gcg")].assign(how="GCG"),
    ]
    if rule == "success":
        plain = searches[(searches["name"] == "success_before") & (setting == "gcg")]
        parts.insert(0, plain.assign(how="No suffix"))
    successes = pd.concat(parts, ignore_index=True)
    chosen = st.selectbox(
        "Condition", hardness.conditions_of(successes), key="suffix_condition", bind="query-params", width=260
    )
    successes = successes[successes["label"] == chosen]
    order = [name for name in ("No suffix", "Random search", "GCG") if name in set(successes["how"])]
    card.chart(
        by_condition(successes, order, "Success (% of goals)", dark=is_dark(), x_column="how", factor=100),
        key="suffix_random",
        title="What the gradient adds",
        alt="Success without a suffix, with random search and with GCG, one marker per arm",
        guide="Random search is given as many evaluations. No suffix: the same goals asked plainly.",
        note=f"Bars: 95 % intervals. {hardness.size(successes, 'goals')}",
        rows=successes,
    )


def _tests(context: Context, rule: str, labels: dict[str, str]) -> None:
    """The stored differences between success rates, a row each; `labels`: condition key to words."""
    tests = hardness.tests(context)
    tests = tests[(tests["rule"] == rule) & (tests["setting"] == "gcg")]
    if tests.empty:
        return
    table = pd.DataFrame(
        {
            "Arm": [arm_label(str(row.kind), float(row.share)) for row in records(tests)],
            "Condition": [labels.get(str(key), str(key)) for key in tests["condition"]],
            "Against": [
                "the same arms, unsteered" if contrast == "condition" else "the clean arms, same condition"
                for contrast in tests["contrast"]
            ],
            "Success (%)": list(100 * tests["rate"]),
            "There (%)": list(100 * tests["reference"]),
            "Difference (points)": [
                interval(100 * row.difference, 100 * row.low, 100 * row.high) for row in records(tests)
            ],
            "Pairs": list(tests["n"]),
            "Only here / only there": [f"{row.only_here} / {row.only_there}" for row in records(tests)],
            "p, McNemar": list(tests["p_paired"]),
            "p, two proportions": list(tests["p_unpaired"]),
        }
    )
    with st.container(border=True):
        card.table(
            table,
            key="suffix_tests",
            alt="Tests of differences between success rates",
            title="Are the differences more than chance?",
            note="Pairs share goal and training seed; the exact McNemar test looks at pairs that differ. p "
            "values are not corrected for being several. For comparison: the paper's 46 and 38.5 % of 200 "
            "give z = 1.52, p = .13.",
            out=tests,
            column_config={
                name: st.column_config.NumberColumn(format="%.3g")
                for name in ("Success (%)", "There (%)", "p, McNemar", "p, two proportions")
            },
        )


def _texts(context: Context, runs: pd.DataFrame) -> None:
    st.subheader("What was asked and what was said")
    show_trials(context, runs[runs["setting"] == "gcg"], key="suffix")
