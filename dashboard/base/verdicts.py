"""Verdicts as the pages say them, from stored rows alone: nothing is computed here but words.

Knows the columns of `db.read.verdicts` and `db.read.dose_fits`; nothing of pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import as_sentence, condition_label, minus, missing, number, percent

SUPPORTED, REFUTED, UNDECIDED = "supported", "not supported", "undecided"
CANNOT_TELL, NO_DATA = "cannot be told", "no data yet"
RATIO = "odds ratio"
"""The unit of effects that multiply: 1 is none."""
HEADLINE = "C4-matched-10"
"""The claim that answers whether a dose helps."""
AMPLE = 1_000.0
"""Room beyond which nobody asks whether there is enough of it."""
FITS = {
    "hormetic": "a dip inside the tested shares is supported",
    "monotone": "no dip: a dip large enough to matter is ruled out at every share inside",
    "undecided": "undecided whether there is a dip",
}


@dataclass(frozen=True)
class Verdict:
    """One claim, what the rows say of it, and the sentence with the numbers."""

    claim: str
    status: str
    detail: str
    id: str = ""
    family: str = "paper"


def in_scope(verdicts: pd.DataFrame, prompt_set: str | None, scorer: str | None) -> pd.DataFrame:
    """Verdicts of one prompt set and scorer, with those that depend on no scorer, or on no prompts.

    `by_scorer`: how the same claim came out under every scorer of these prompts, in words.
    """
    of_prompts = verdicts["prompt_set"].isna() | (verdicts["prompt_set"] == prompt_set)
    of_scorer = verdicts["scorer"].isna() | (verdicts["scorer"] == scorer)
    rows = verdicts[of_prompts & of_scorer].sort_values("position", kind="stable")
    return rows.assign(by_scorer=[_by_scorer(row, verdicts[of_prompts]) for row in records(rows)])


def _by_scorer(row: Any, verdicts: pd.DataFrame) -> str:
    """`supported under 2 of 3 scorers, undecided under 1`; "" where no two scorers can disagree.

    `verdicts`: those of the same prompts, of every scorer.
    """
    if missing(row.scorer) or row.status == NO_DATA:
        return ""
    statuses = verdicts.loc[(verdicts["claim"] == row.claim) & verdicts["scorer"].notna(), "status"]
    counts = statuses[statuses != NO_DATA].value_counts()
    if counts.sum() < 2:
        return ""
    others = "".join(f", {status} under {count}" for status, count in counts.items() if status != row.status)
    return f"{row.status} under {counts[row.status]} of {counts.sum()} scorers{others}"


def measured(row: Any) -> str:
    """`+4.1 [−3.3, +11.5] points`, `odds ratio 0.61 [0.42, 0.88]`, or a dash."""
    if missing(row.value):
        return "–"
    value, low, high = (_amount(number, row.unit) for number in (row.value, row.low, row.high))
    ends = "no interval" if missing(row.low) else f"{low}, {high}"
    return f"{RATIO} {value} [{ends}]" if row.unit == RATIO else f"{value} [{ends}] {row.unit}"


def _amount(value: float, unit: str) -> str:
    """A number of a verdict with three significant digits; with its sign where its unit has one."""
    if missing(value):
        return "–"
    if unit == RATIO:
        return f"{value:.3g}"
    return minus(f"{value:+.3g}" if abs(value) >= 0.0005 else "0")


def with_unit(value: float, unit: str) -> str:
    """An effect with two significant digits and its unit: `4.9 points`, `odds ratio 0.42`."""
    return f"{RATIO} {number(value, 2)}" if unit == RATIO else f"{number(value, 2)} {unit}"


def p_said(p: float | None) -> str:
    """A p-value for people: `.013`, `< .001`, or a dash."""
    if p is None or missing(p):
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def p_equals(p: float | None) -> str:
    """`p = .013` or `p < .001`."""
    return f"p = {p_said(p)}".replace("= <", "<")


def sentence(row: Any) -> str:
    """The numbers of a verdict (a stored row) in one sentence, without its status."""
    if missing(row.value):
        return str(row.detail)
    seeds = "one seed, too few to decide" if row.n_seeds < 2 else f"{row.n_seeds} seeds"
    numbers = f"{measured(row)}, {seeds}, n = {row.n:,}, {p_equals(row.p)}, Holm {p_said(row.p_holm)}"
    by_scorer = getattr(row, "by_scorer", "")
    return f"{numbers}; {row.detail}" + (f"; {by_scorer}" if by_scorer else "")


def stored(verdict_rows: pd.DataFrame, prompt_set: str | None, scorer: str | None) -> list[Verdict]:
    """The verdicts of one prompt set and scorer, the headline first."""
    verdicts = [
        Verdict(str(row.statement), str(row.status), sentence(row), str(row.claim), str(row.family))
        for row in records(in_scope(verdict_rows, prompt_set, scorer))
    ]
    return sorted(verdicts, key=lambda verdict: verdict.id != HEADLINE)


def minimum_effect(row: Any) -> str:
    """What a study of this size could have seen, and where it cannot tell, why."""
    if row is None or missing(row.detectable):
        return ""
    tests = "" if missing(row.tests) else f", corrected with {int(row.tests)} tests,"
    sees = (
        f"With {row.n_seeds} seeds and n = {row.n:,} this comparison{tests} finds an effect as large as "
        f"{with_unit(row.detectable, row.unit)} with a power of 80 %."
    )
    return f"{as_sentence(no_room(row))} {sees}" if row.status == CANNOT_TELL else sees


def no_room(row: Any) -> str:
    """Why a study cannot tell a claim (a stored row)."""
    if row.n_seeds < 2:
        return "one seed is too few"
    if missing(row.room):
        return "even arms that are alike would not be told to be so"
    return (
        f"even the largest effect that the scale allows here, {with_unit(row.room, row.unit)}, would not pass"
    )


NULLS: Final[Mapping[str, tuple[str, ...]]] = {
    "C3-mean": ("R-gain-embeddings", "R-gain-step-0", "R-gain-same-words"),
    "C3-tail": ("R-gain-embeddings", "R-gain-step-0", "R-gain-same-words"),
    "C4-steer": ("C4-random", "C4-covariance", "C4-permuted", "C4-sign"),
}
"""Claims of the paper, and those that hold the same against what else could give it."""


def after_nulls(verdicts: pd.DataFrame) -> str:
    """Which supported claims of the paper outlive their nulls, in words; empty where no null has rows.

    A claim survives where all of its nulls that have rows are supported, and does not where one is not
    supported. `verdicts`: rows of one prompt set and scorer.
    """
    rows = {row.claim: row for row in records(verdicts)}
    survival: dict[str, list[str]] = {"survives": [], "does not survive": [], "open": []}
    for claim, nulls in NULLS.items():
        measured_nulls = [rows[null] for null in nulls if null in rows and rows[null].status != NO_DATA]
        if claim not in rows or rows[claim].status != SUPPORTED or not measured_nulls:
            continue
        against = [row for row in measured_nulls if row.status == REFUTED]
        open_nulls = [row for row in measured_nulls if row.status not in (SUPPORTED, REFUTED)]
        outcome = "does not survive" if against else "open" if open_nulls else "survives"
        reasons = [f"{row.status}: {row.statement}" for row in against or open_nulls]
        reason = "; ".join(reasons) or f"{len(measured_nulls)} of {len(nulls)} nulls measured, all supported"
        survival[outcome].append(f"“{rows[claim].statement}” ({reason})")
    parts = [f"{words.capitalize()}: {', '.join(claims)}." for words, claims in survival.items() if claims]
    return (
        f"Claims of the paper supported above, beside what else could give them. {' '.join(parts)}"
        if parts
        else ""
    )


def verdict_table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """What the verdict table shows, a row per claim: words and numbers as people read them."""
    table_rows = [
        {
            "Verdict": row.status,
            "Claim": row.statement,
            "Ours [95 % interval]": measured(row),
            "Paper †": str(row.paper) or "–",
            "p (Holm)": "–" if missing(row.p) else f"{p_said(row.p)} ({p_said(row.p_holm)})",
            "Minimum detectable effect (80 % power)": _sees(row),
            "n, seeds": "–" if missing(row.value) else f"{row.n:,}, {row.n_seeds}",
            "By scorer": getattr(row, "by_scorer", "").removeprefix(f"{row.status} ") or "–",
        }
        for row in records(verdicts)
    ]
    return pd.DataFrame(table_rows)


def _sees(row: Any) -> str:
    """The minimum detectable effect, and where the scale has an end near it the room that it leaves."""
    if missing(row.detectable):
        return "–"
    room = "" if missing(row.room) or row.room > AMPLE else f"; room {number(row.room, 2)}"
    return f"{with_unit(row.detectable, row.unit)}{room}"


def fits_of(
    doses: pd.DataFrame, fits: pd.DataFrame, prompt_set: str | None, *, scorer: str | None
) -> pd.DataFrame:
    """The fits (a row per condition) of the steered lines in `doses` (summary rows); `label` in words."""
    labels = {
        str(row.condition_key): condition_label(
            row.method, row.strength, row.matched_cost, key=row.condition_key
        )
        for row in records(doses[doses["method"] == "iti"])
    }
    fits = fits[(fits["prompt_set"] == prompt_set) & (fits["scorer"] == scorer)]
    fits = fits[fits["condition_key"].isin(labels)]
    return fits.assign(label=fits["condition_key"].map(labels))


def fit_said(curves: pd.DataFrame) -> str:
    """What fits (`curves`: a row per condition, with `label`) say of a best dose, those that agree as one."""
    agreeing: dict[str, list[str]] = {}
    for row in records(curves[curves["status"] != NO_DATA]):
        answer = f"{FITS[row.status]}, best dose none"
        if not missing(row.optimum):
            ends = f"{percent(row.optimum_low)}, {percent(row.optimum_high)}"
            answer = f"{FITS[row.status]}, best dose {percent(row.optimum)} [{ends}]"
        agreeing.setdefault(answer, []).append(f"{row.label} (p {p_said(row.p)})")
    return "; ".join(f"{', '.join(labels)}: {answer}" for answer, labels in agreeing.items())
