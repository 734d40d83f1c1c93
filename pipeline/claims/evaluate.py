"""From rows to verdicts: every claim of the registry on one study, corrected, decided and stored.

A claim about toxicity is evaluated for every prompt set and scorer; Holm's correction runs within one of them
and within a family. Rows that say what is stored already are not written again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Engine, select

from hormesis.db.paper import figure
from hormesis.db.schema import DoseFit, Verdict, utc_now
from hormesis.db.write import delete_others, read_session, replace_rows, upsert, write_session
from hormesis.pipeline.claims.declared import Claim, Finding, Missing, Outcome, Scope, adjusted, decide, sure
from hormesis.pipeline.claims.dips import fit_row
from hormesis.pipeline.claims.registry import CLAIMS
from hormesis.pipeline.claims.rows import StudyRows
from hormesis.pipeline.statistics import StatisticsError

Row = dict[str, Any]
ALIKE = "; the same value in every arm and seed, so these rows cannot tell"
NUMBERS = ("value", "low", "high", "p", "detectable")


def evaluate(engine: Engine, study_id: int, check: Callable[[], None] = lambda: None) -> list[Row]:
    """Evaluate every claim and fit every dose curve of a study, store and return the verdicts.

    `check` is called between claims and may raise to stop; then nothing is written. `outcomes` and `fixed`
    (of claims that depend on no scope) are by claim id.
    """
    study = StudyRows(engine, study_id)
    measured = study.scopes
    scopes = [
        Scope(str(row.prompt_set), str(row.scorer))
        for row in measured[measured["measures"] == "toxicity"].itertuples()
    ]
    verdicts: list[Row] = []
    fit_rows: list[Row] = []
    fixed = {claim.id: _tested(claim, study, Scope("", "")) for claim in CLAIMS if not claim.scoped}
    for scope in scopes or [Scope("", "")]:
        outcomes: dict[str, Outcome] = {}
        for claim in CLAIMS:
            check()
            outcomes[claim.id] = _tested(claim, study, scope) if claim.scoped else fixed[claim.id]
        verdicts += _verdicts(study_id, scope, outcomes)
        fit_rows += _fits(study, scope, check) if scope.prompt_set else []
    _store(engine, study_id, verdicts, fit_rows=fit_rows)
    return verdicts


def _tested(claim: Claim, study: StudyRows, scope: Scope) -> Outcome:
    """The outcome of a claim's test; Missing where the rows cannot be compared or give no p."""
    if claim.scoped and not scope.prompt_set:
        return Missing("needs scored generations")
    try:
        outcome = claim.test(study, scope)
    except StatisticsError as error:
        return Missing(f"rows that cannot be compared: {error}")
    if isinstance(outcome, Finding) and outcome.alike:
        return replace(
            outcome, p=None, detectable=None, detail=outcome.detail + ALIKE, claimed=False, excluded=False
        )
    # A p-value that is no number would take the whole family's correction along.
    if isinstance(outcome, Finding) and outcome.p is not None and sure(outcome.p) is None:
        return Missing("rows whose effect has no p-value: too few, or all alike")
    return outcome


def _verdicts(study_id: int, scope: Scope, outcomes: dict[str, Outcome]) -> list[Row]:
    """Verdict rows, one per claim, of one scope; `outcomes` and `holm_p` (corrected p) are by claim id."""
    holm_p: dict[str, float | None] = {}
    for family in ("paper", "readers"):
        claim_ids = [claim.id for claim in CLAIMS if claim.family == family]
        holm_p |= dict(zip(claim_ids, adjusted([outcomes[claim_id] for claim_id in claim_ids]), strict=True))
    return [
        _row(study_id, place, claim, scope=scope, outcome=outcomes[claim.id], p_holm=holm_p[claim.id])
        for place, claim in enumerate(CLAIMS)
    ]


def _row(
    study_id: int, place: int, claim: Claim, *, scope: Scope, outcome: Outcome, p_holm: float | None
) -> Row:
    """The verdict row of one claim; `place`: its place in the registry; `paper`: the paper's figure."""
    paper = figure(claim.id)
    finding = asdict(outcome) if isinstance(outcome, Finding) else {}
    numbers = {name: sure(finding.get(name)) for name in NUMBERS} | {"p_holm": sure(p_holm)}
    counts = {name: finding.get(name) for name in ("n", "n_seeds")}
    return {
        "study_id": study_id,
        "key": f"{claim.id}|{scope.prompt_set}|{scope.scorer}",
        "claim": claim.id,
        "position": place,
        "family": claim.family,
        # Claims about no prompts are stored with each scope, for their Holm correction belongs to it.
        "prompt_set": scope.prompt_set or None,
        "scorer": scope.scorer or None,
        "statement": claim.statement,
        "question": claim.question,
        "estimand": claim.estimand,
        "rows_used": claim.rows,
        "rule": claim.stated_rule,
        "status": decide(outcome, p_holm),
        "detail": outcome.detail,
        **numbers,
        **counts,
        "unit": finding.get("unit", ""),
        "interval": finding.get("interval", ""),
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


def _store(engine: Engine, study_id: int, verdicts: list[Row], *, fit_rows: list[Row]) -> None:
    """Write the verdict rows that changed and all fit rows; delete those of a study that are gone."""
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
