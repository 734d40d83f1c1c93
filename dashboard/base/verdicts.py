"""Verdicts as the pages say them, from stored rows alone: nothing is computed here but words.

Knows the columns of `db.read.verdicts` and `db.read.dose_fits`; nothing of pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.wording import condition_label, minus, missing, number, percent

SUPPORTED, REFUTED, UNDECIDED, NO_DATA = "supported", "not supported", "undecided", "no data yet"
HEADLINE = "C4-matched-10"
"""The claim that answers whether a dose helps."""
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
    """Verdicts or fits of one prompt set and scorer; where there are none, verdicts made before any score."""
    in_both = verdicts[(verdicts["prompt_set"] == prompt_set) & (verdicts["scorer"] == scorer)]
    return in_both if len(in_both) else verdicts[verdicts["prompt_set"].isna()]


def measured(row: Any) -> str:
    """`+4.1 [−3.3, +11.5] points`, or a dash."""
    if missing(row.value):
        return "–"
    ends = "no interval" if missing(row.low) else f"{_signed(row.low)}, {_signed(row.high)}"
    return f"{_signed(row.value)} [{ends}] {row.unit}"


def _signed(value: float) -> str:
    text = f"{value:+.3g}" if abs(value) >= 0.0005 else "0"
    return minus(text)


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
    return f"{numbers}; {row.detail}"


def stored(verdict_rows: pd.DataFrame, prompt_set: str | None, scorer: str | None) -> list[Verdict]:
    """The verdicts of one prompt set and scorer, the headline first."""
    verdicts = [
        Verdict(str(row.statement), str(row.status), sentence(row), str(row.claim), str(row.family))
        for row in records(in_scope(verdict_rows, prompt_set, scorer))
    ]
    return sorted(verdicts, key=lambda verdict: verdict.id != HEADLINE)


def minimum_effect(row: Any) -> str:
    """What a study of this size could have seen."""
    if row is None or missing(row.detectable):
        return ""
    return (
        f"With {row.n_seeds} seeds and n = {row.n:,} this comparison sees a true difference of "
        f"{number(row.detectable, 2)} {row.unit} with a power of 80 %."
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
            "Minimum detectable effect (80 % power)": "–"
            if missing(row.detectable)
            else f"{number(row.detectable, 2)} {row.unit}",
            "n, seeds": "–" if missing(row.value) else f"{row.n:,}, {row.n_seeds}",
        }
        for row in records(verdicts)
    ]
    return pd.DataFrame(table_rows)


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
