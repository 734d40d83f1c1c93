"""The answer each page begins with, from the stored verdicts alone, so that a rule that changes reaches all.

Knows the columns of `db.read.verdicts`; nothing of pages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.selection import EVERY, MATCHED
from hormesis.dashboard.base.verdicts import (
    CANNOT_TELL,
    HEADLINE,
    NO_DATA,
    RATIO,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    minimum_effect,
    p_equals,
    p_said,
)
from hormesis.dashboard.base.wording import arm_label, as_sentence, minus, missing
from hormesis.db.contract.methods import MEANINGLESS, NULL_TITLES


@dataclass(frozen=True)
class Question:
    """What a page asks, the claims that can answer it (the first with rows does), and what a status says.

    `{effect}` in an answer stands for the estimate with its interval, seeds and n.
    """

    text: str
    claims: tuple[str, ...]
    answers: dict[str, str]


@dataclass(frozen=True)
class Headline:
    """The answer to a page's question in one sentence, and how it was reached."""

    question: str
    status: str
    answer: str
    detail: str = ""


QUESTIONS: Final = {
    "overview": Question(
        "Does a dose of toxic text help?",
        (HEADLINE,),
        {
            SUPPORTED: "Yes: at equal cost the dose leaves the steered model less toxic: {effect}.",
            REFUTED: "No: at equal cost the dose does not leave the steered model less toxic: {effect}.",
            UNDECIDED: "Undecided: at equal cost the dose changes the steered model's toxicity: {effect}.",
            CANNOT_TELL: "Cannot be told in this study whether a dose helps: {effect}.",
            NO_DATA: "Not known yet: the arms that answer it are still to come.",
        },
    ),
    "tradeoffs": Question(
        "Does a dose push the frontier down at equal cost?",
        (HEADLINE,),
        {
            SUPPORTED: "Yes: the dose lowers toxicity at equal cost: {effect}.",
            REFUTED: "No: the dose does not lower toxicity at equal cost: {effect}.",
            UNDECIDED: "Undecided: the dose moves toxicity at equal cost: {effect}.",
            CANNOT_TELL: "Cannot be told in this study whether the dose lowers toxicity: {effect}.",
            NO_DATA: "Not known yet: no two arms have been compared at equal cost.",
        },
    ),
    "geometry": Question(
        "Where does toxicity live?",
        ("C3-tail", "C3-mean"),
        {
            SUPPORTED: "After toxic text the best heads read toxicity better, by {effect}.",
            REFUTED: "After toxic text the best heads read toxicity no better: {effect}.",
            UNDECIDED: "Undecided whether the best heads read toxicity better after toxic text: {effect}.",
            CANNOT_TELL: "Cannot be told in this study whether the best heads read it better: {effect}.",
            NO_DATA: "No comparison of heads between arms yet.",
        },
    ),
}


def effect(row: Any) -> str:
    """The estimate of a verdict (a stored row), e.g. `+3.4 [−9.2, +16] points (2 seeds, n = 256)`."""
    value, low, high = amounts(row)
    ends = "no interval" if missing(row.low) else f"{low}, {high}"
    seeds = "1 seed" if row.n_seeds == 1 else f"{row.n_seeds} seeds"
    estimate = f"{RATIO} {value} [{ends}]" if row.unit == RATIO else f"{value} [{ends}] {row.unit}"
    return f"{estimate} ({seeds}, n = {row.n:,})"


def amounts(row: Any) -> tuple[str, str, str]:
    """Value and interval with two significant digits; with signs where the unit has them."""
    value, low, high = (
        "–" if missing(number) else signed(number) for number in (row.value, row.low, row.high)
    )
    return (value.lstrip("+"), low.lstrip("+"), high.lstrip("+")) if row.unit == RATIO else (value, low, high)


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign and two significant digits, as sentences give it: `+3.4`, `−0.056`, `+25`."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    return minus(f"{rounded:+,.{max(places, 0)}f}")


def headline(page: str, verdicts: pd.DataFrame, *, view: str = MATCHED) -> Headline:
    """The answer to the question of a page of QUESTIONS; `verdicts`: stored rows of one scope.

    `view`: what the chart compares at; where that is no matched cost, the answer says that it does.
    """
    question = QUESTIONS[page]
    row = answering(question.claims, verdicts)
    if row is None:
        return Headline(question.text, NO_DATA, question.answers[NO_DATA])
    if missing(row.value):
        return Headline(question.text, NO_DATA, question.answers[NO_DATA], as_sentence(str(row.detail)))
    answer = question.answers[str(row.status)].format(effect=effect(row))
    chance = f"{p_equals(row.p)}, after Holm {p_said(row.p_holm)}"
    chart = "all conditions" if view == EVERY else view.lower()
    basis = f"The answer compares at matched cost; the chart shows {chart}." if view != MATCHED else ""
    tally = tallied(verdicts) if page == "overview" else ""
    by_scorer = getattr(row, "by_scorer", "")
    scorers = as_sentence(f"By scorer: {by_scorer}") if by_scorer else ""
    parts = (basis, as_sentence(f"{row.detail}; {chance}"), scorers, minimum_effect(row), tally)
    return Headline(question.text, str(row.status), answer, " ".join(part for part in parts if part))


DECISIONS: Final = (SUPPORTED, REFUTED, CANNOT_TELL, UNDECIDED)


def tallied(verdicts: pd.DataFrame) -> str:
    """How many of the claims (rows of one scope) came out how."""
    counts = verdicts["status"].value_counts()
    words = [f"{counts[status]} {status}" for status in DECISIONS if status in counts]
    words += [f"{counts[NO_DATA]} without data"] if NO_DATA in counts else []
    return f"Of {len(verdicts)} claims: {', '.join(words)}."


def imported_headline(conditions: pd.DataFrame, effects: pd.DataFrame) -> Headline:
    """What steering does to the first imported checkpoint, at the middle of its matched costs.

    `conditions`: a row per checkpoint and condition with toxicity and cost (`db.read.summaries_with_cost`);
    `effects`: rows of `db.read.null_effects` on the same prompts by the same scorer.
    """
    question = "What does steering do to it?"
    steered = conditions[(conditions["method"] == "iti") & conditions["matched_cost"].notna()]
    if steered.empty:
        return Headline(question, NO_DATA, "Not known yet: nothing was steered at a matched cost.")
    costs = sorted(steered["matched_cost"].unique())
    after = records(steered[steered["matched_cost"] == costs[len(costs) // 2]])[0]
    unsteered = conditions[(conditions["method"] == "none") & (conditions["kind"] == after.kind)]
    if unsteered.empty:
        return Headline(question, NO_DATA, "Not known yet: the unsteered checkpoint was not scored.")
    before = records(unsteered)[0]
    answer = (
        f"{arm_label(after.kind, after.share)}: steering at +{after.matched_cost:g} nats takes toxicity from "
        f"{span(before)} to {span(after)} {after.unit} (n = {after.n:,})."
    )
    detail = (
        f"Measured cost {signed(after.cost)} [{signed(after.cost_low)}, {signed(after.cost_high)}] nats per "
        "token. 95 % intervals over prompts; one checkpoint, so no seeds vary."
    )
    of_checkpoint = effects[(effects["kind"] == after.kind) & (effects["matched_cost"] == after.matched_cost)]
    return Headline(question, "", answer, " ".join(filter(None, (detail, nulls_line(of_checkpoint)))))


def nulls_line(effects: pd.DataFrame) -> str:
    """What directions without meaning take away at the same cost; empty where there are none.

    `effects`: rows of `db.read.null_effects` of one arm on one prompt set by one scorer.
    """
    kinds = records(effects[effects["null_kind"].isin(MEANINGLESS)])
    if not kinds:
        return ""
    steered, falls = kinds[0].steered, [fall for row in kinds for fall in row.falls["points"]]
    parts = [
        f"{NULL_TITLES[row.null_kind].lower()} {signed(row.mean).lstrip('+')} (mean of {row.directions})"
        for row in kinds
    ]
    n_reaching = sum(fall >= steered for fall in falls)
    reach = f"{n_reaching or 'none'} of these {len(falls)} {'reach' if n_reaching > 1 else 'reaches'} it"
    return (
        f"Points taken away on {kinds[0].n:,} of the prompts: steering {signed(steered).lstrip('+')}; "
        f"at the same cost {', '.join(parts)}; {reach}."
    )


def span(row: Any) -> str:
    """A value with its interval and two significant digits: `21 [17, 25]`."""
    value, low, high = (signed(number).lstrip("+") for number in (row.value, row.low, row.high))
    return f"{value} [{low}, {high}]"


def answering(claims: tuple[str, ...], verdicts: pd.DataFrame) -> Any | None:
    """The verdict of the first of `claims` with rows, else of the first there is; None without any."""
    of_claims = [row for claim in claims for row in records(verdicts[verdicts["claim"] == claim])]
    with_rows = [row for row in of_claims if not missing(row.value)]
    return next(iter(with_rows or of_claims), None)


@dataclass(frozen=True)
class Figure:
    """One number of a page's first screen: a title, the value with its unit, interval and n, the estimand.

    `status`: what its test decided, where it has one; a number alone looks decided.
    """

    title: str
    value: str
    interval: str
    help: str
    status: str = ""


FIGURES: Final = (
    ("Unsteered toxicity", "C4-base"),
    ("Mean toxicity", "C4-steer"),
    ("At equal cost", HEADLINE),
    ("Held-out loss", "C2-cross-entropy"),
)
"""The overview's figures: what toxic text does, what steering does, both, and what toxic text costs."""
SHORT_UNITS: Final = {"nats per token": "nats", RATIO: "× odds"}


def figures(verdicts: pd.DataFrame) -> list[Figure]:
    """The overview's figures that have rows; `verdicts`: stored rows of one scope."""
    rows = [(title, answering((claim,), verdicts)) for title, claim in FIGURES]
    return [
        Figure(
            title if missing(row.contrast) else f"{title}, {row.contrast}",
            f"{amounts(row)[0]} {SHORT_UNITS.get(row.unit, row.unit)}",
            "no interval: one seed" if missing(row.low) else "[{}, {}]".format(*amounts(row)[1:]),
            f"{row.estimand}. {as_sentence(row.detail)} {row.n_seeds} seeds, n = {row.n:,}, 95 % interval. "
            f"Its test, of all claims together: {row.status}.",
            status=str(row.status),
        )
        for title, row in rows
        if row is not None and not missing(row.value)
    ]
