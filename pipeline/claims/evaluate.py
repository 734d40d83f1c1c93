"""From rows to verdicts: every claim of the registry on one study, corrected, decided and stored.

A claim is evaluated once for all it depends on: the study, each prompt set, or each prompt set and scorer.
Holm's correction runs within one of these and within a family. Rows that say what is stored already are not
written again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, select

from hormesis.db.paper import figure
from hormesis.db.schema import DoseFit, NullEffect, Verdict, utc_now
from hormesis.db.write import delete_others, read_session, replace_rows, upsert, write_session
from hormesis.pipeline.claims.declared import (
    LEVEL,
    NO_DATA,
    Claim,
    Corrected,
    Finding,
    Missing,
    Outcome,
    Scope,
    corrected,
    decide,
    sure,
)
from hormesis.pipeline.claims.dips import fit_row
from hormesis.pipeline.claims.nulls import null_rows
from hormesis.pipeline.claims.registry import CLAIMS
from hormesis.pipeline.claims.rows import ImportedRows, StudyRows
from hormesis.pipeline.statistics import StatisticsError

Row = dict[str, Any]
ALIKE = "; the same value in every arm and seed, so these rows cannot tell"
NO_SHARES = "needs models of several shares of toxic text, trained here or imported with --share"
NEVER_FAILS = "; no effect that the scale allows would come out as not supported here"


def evaluate(engine: Engine, study_id: int, check: Callable[[], None] = lambda: None) -> list[Row]:
    """Evaluate every claim, fit every dose curve, hold ITI against nulls; store, and return the verdicts.

    `check` is called between claims and may raise to stop; then nothing is written.
    """
    study, imported = StudyRows(engine, study_id), ImportedRows(engine, study_id)
    scopes = scopes_of(study)
    verdicts = verdicts_on(study, scopes, check)
    if study.conditions.empty and not imported.conditions.empty:
        verdicts = [row | {"detail": NO_SHARES} if _needs_shares(row) else row for row in verdicts]
    fit_rows = [row for scope in scopes if scope.prompt_set for row in _fits(study, scope, check)]
    effect_rows = [
        row
        for scope in scopes
        if scope.prompt_set
        for rows in (study, imported)
        for row in null_rows(rows, scope)
    ]
    _store(engine, study_id, verdicts, fit_rows=fit_rows, effect_rows=effect_rows)
    return verdicts


def _needs_shares(row: Row) -> bool:
    """Whether a claim without data is on models of the study."""
    return row["status"] == NO_DATA and not row["claim"].startswith("C1-")


def scopes_of(study: StudyRows) -> list[Scope]:
    """Every prompt set and scorer of toxicity with metrics; an empty one before there are any."""
    measured = study.scopes
    toxicity = measured[measured["measures"] == "toxicity"]
    return [Scope(str(row.prompt_set), str(row.scorer)) for row in toxicity.itertuples()] or [Scope("", "")]


def verdicts_on(
    study: StudyRows, scopes: Sequence[Scope], check: Callable[[], None] = lambda: None
) -> list[Row]:
    """Verdict rows of every claim on each part of `scopes` that it depends on, each once."""
    outcomes: dict[tuple[Scope, str], Outcome] = {}
    families: dict[tuple[Any, ...], list[tuple[Scope, Claim]]] = {}
    for scope in scopes:
        for claim in CLAIMS:
            cut = scope.cut(claim.breadth)
            if (cut, claim.id) in outcomes:
                continue
            check()
            outcomes[cut, claim.id] = _tested(claim, study, cut)
            families.setdefault((cut, *claim.tested_with), []).append((cut, claim))
    rows = []
    for members in families.values():
        corrections = corrected([outcomes[cut, claim.id] for cut, claim in members])
        rows += [
            _row(study.study_id, claim, scope=cut, outcome=outcomes[cut, claim.id], correction=correction)
            for (cut, claim), correction in zip(members, corrections, strict=True)
        ]
    return sorted(rows, key=lambda row: (row["prompt_set"] or "", row["scorer"] or "", row["position"]))


def _tested(claim: Claim, study: StudyRows, scope: Scope) -> Outcome:
    """The outcome of a claim's test; Missing where the rows cannot be compared or give no p."""
    if claim.breadth != "study" and not scope.prompt_set:
        return Missing("needs scored generations")
    try:
        outcome = claim.test(study, scope)
    except StatisticsError as error:
        return Missing(f"rows that cannot be compared: {error}")
    if isinstance(outcome, Finding) and outcome.alike:
        return replace(
            outcome, p=None, best_p=None, detail=outcome.detail + ALIKE, claimed=False, excluded=False
        )
    # A p-value that is no number would take the whole family's correction along.
    if isinstance(outcome, Finding) and outcome.p is not None and sure(outcome.p) is None:
        return Missing("rows whose effect has no p-value: too few, or all alike")
    if isinstance(outcome, Finding):
        words = ("" if outcome.varies else ALIKE) + ("" if outcome.failable else NEVER_FAILS)
        return replace(outcome, detail=outcome.detail + words)
    return outcome


def _row(study_id: int, claim: Claim, *, scope: Scope, outcome: Outcome, correction: Corrected) -> Row:
    """The verdict row of one claim; `paper`: the paper's figure."""
    paper = figure(claim.id)
    status = decide(outcome, correction)
    numbers: Row = dict.fromkeys(
        ("value", "low", "high", "p", "p_holm", "detectable", "room", "n", "n_seeds", "tests")
    )
    words = {"contrast": "", "detail": outcome.detail, "unit": "", "interval": ""}
    if isinstance(outcome, Finding):
        tested = correction.tests + (outcome.p is None)  # with itself, had it a test
        numbers = {name: sure(getattr(outcome, name)) for name in ("value", "low", "high", "p", "room")} | {
            "p_holm": sure(correction.p),
            "detectable": None if outcome.alike else sure(outcome.sees(LEVEL / tested)),
            "n": outcome.n,
            "n_seeds": outcome.n_seeds,
            "tests": None if outcome.p is None else tested,
        }
        words = {
            "contrast": outcome.contrast,
            "detail": outcome.contrast + outcome.detail,
            "unit": outcome.unit,
            "interval": outcome.interval,
        }
    return {
        "study_id": study_id,
        "key": f"{claim.id}|{scope.prompt_set}|{scope.scorer}",
        "claim": claim.id,
        "position": CLAIMS.index(claim),
        "family": claim.family,
        "prompt_set": scope.prompt_set or None,
        "scorer": scope.scorer or None,
        "statement": claim.statement,
        "question": claim.question,
        "estimand": claim.estimand,
        "rows_used": claim.rows,
        "rule": claim.stated_rule,
        "status": status,
        **numbers,
        **words,
        "paper": paper.text,
        "paper_value": paper.value,
    }


def _fits(study: StudyRows, scope: Scope, check: Callable[[], None]) -> list[Row]:
    """Fit rows, one per key of the unsteered condition and of ITI along the study's main directions."""
    conditions = study.conditions
    conditions = conditions[
        (conditions["method"] == "none")
        | ((conditions["method"] == "iti") & (conditions["direction"] == study.direction))
    ]
    fit_rows = []
    for condition_key in sorted({str(condition_key) for condition_key in conditions["key"]}):
        check()
        row = fit_row(study, scope, condition_key)
        fit_rows += [row] if row else []
    return fit_rows


def _store(
    engine: Engine, study_id: int, verdicts: list[Row], *, fit_rows: list[Row], effect_rows: list[Row]
) -> None:
    """Write the verdict rows that changed and all others; delete those of a study that are gone."""
    with read_session(engine) as session:
        query = select(*Verdict.__table__.columns).where(Verdict.study_id == study_id)
        stored = {row["key"]: dict(row) for row in session.execute(query).mappings()}
    # A verdict that came out the same keeps the time of its evaluation.
    changed = [row for row in verdicts if any(stored.get(row["key"], {}).get(k) != v for k, v in row.items())]
    verdict_keys, on = [row["key"] for row in verdicts], ("study_id", "key")
    with write_session(engine) as session:
        delete_others(session, Verdict, verdict_keys, on=("key",), within=[Verdict.study_id == study_id])
        now = utc_now()
        upsert(session, Verdict, [row | {"evaluated": now} for row in changed], on=on)
        replace_rows(session, DoseFit, fit_rows, on=on, within=[DoseFit.study_id == study_id])
        replace_rows(session, NullEffect, effect_rows, on=on, within=[NullEffect.study_id == study_id])
