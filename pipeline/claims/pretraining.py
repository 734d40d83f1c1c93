"""C2: does toxic text cost capability, and does it help to tell toxic text? Values by arm are [seeds]."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from hormesis.pipeline.claims.compare import largest_against_none, toxic_only
from hormesis.pipeline.claims.declared import (
    DIRECTION,
    EQUIVALENCE,
    Claim,
    Missing,
    Outcome,
    Scope,
    directional,
    equivalent,
)
from hormesis.pipeline.claims.rows import StudyRows, ValuesByArm

NATS, POINTS = 0.05, 2.0
SESOI_POINTS = 0.5
SEEDS_ONLY = "seeds are the unit; the items are the same in every arm and taken as fixed"


def _loss(study: StudyRows, scope: Scope) -> Outcome:
    effect, shares = largest_against_none(study.metric("cross_entropy"))
    detail = f"{shares}, clean held-out text; {SEEDS_ONLY}"
    return equivalent(effect, NATS, "nats per token", detail=detail, n=study.metric_n("cross_entropy"))


def _accuracy(*tasks: str) -> Callable[[StudyRows, Scope], Outcome]:
    def test(study: StudyRows, scope: Scope) -> Outcome:
        """Accuracy on the first of `tasks` (SQL patterns) with rows; the largest share less none."""
        for task in tasks:
            accuracy_by_arm, items = study.capability(task)
            if accuracy_by_arm:
                break
        else:
            return Missing(f"needs capability rows: {', '.join(tasks).replace('%', '*')}")
        effect, shares = largest_against_none(accuracy_by_arm)
        return equivalent(
            effect, POINTS, "points", detail=f"{shares}, {items:,} items; {SEEDS_ONLY}", scale=100, n=items
        )

    return test


def _over_heads(statistic: Callable[[pd.DataFrame], float]) -> Callable[[StudyRows, Scope], Outcome]:
    def test(study: StudyRows, scope: Scope) -> Outcome:
        """A statistic of a checkpoint's heads, the largest share less none; `n`: test statements."""
        statistic_by_arm, n = probe_arms(study, statistic)
        effect, shares = largest_against_none(statistic_by_arm)
        detail = f"{shares}, {n:,} test statements; {SEEDS_ONLY}; heads are never counted as samples"
        return directional(effect, +1, SESOI_POINTS, unit="points", detail=detail, scale=100, n=n)

    return test


def probe_arms(study: StudyRows, statistic: Callable[[pd.DataFrame], float]) -> tuple[ValuesByArm, int]:
    """`statistic` of each checkpoint's `probes`, a row a head: toxic arm to [seeds]; and test statements."""
    probes = study.probes
    if probes.empty:
        return {}, 0
    values = [(key, statistic(part)) for key, part in probes.groupby("checkpoint")]
    statistics = pd.DataFrame(values, columns=["checkpoint", "value"]).dropna()
    return toxic_only(study.by_arm(statistics)), int(probes["n"].max())


def _best_auroc(heads: pd.DataFrame) -> float:
    best = heads[heads["rank"] == 1]["auroc"]
    return float(best.iloc[0]) if len(best) else float("nan")


def _probe_claim(
    claim_id: str, statement: str, question: str, *, estimand: str, statistic: Callable[[pd.DataFrame], float]
) -> Claim:
    """A claim that `statistic`, of a checkpoint's probe rows (one a head), rises with toxic text."""
    return Claim(
        id=claim_id,
        family="paper",
        statement=statement,
        question=question,
        estimand=estimand,
        rows="probe of every head and arm, test split",
        rule=DIRECTION.format(sesoi=SESOI_POINTS, unit="points"),
        test=_over_heads(statistic),
        scoped=False,
    )


def _capability_claim(
    claim_id: str, capability: str, estimand: str, *, rows: str, margin: float, unit: str,
    test: Callable[[StudyRows, Scope], Outcome],
) -> Claim:  # fmt: skip
    """A claim that `capability` (words) stays within `margin`, in `unit`; `rows`: words on its rows."""
    return Claim(
        id=claim_id,
        family="paper",
        statement=f"General capability hardly moves ({capability})",
        question="What does toxic text in pretraining cost in general ability?",
        estimand=estimand,
        rows=rows,
        rule=EQUIVALENCE.format(sesoi=margin, unit=unit),
        test=test,
        scoped=False,
    )


CLAIMS = (
    _capability_claim(
        "C2-cross-entropy", "held-out loss",
        "Cross-entropy on clean held-out text, largest share less none, unsteered",
        rows="metric cross_entropy of the condition none", margin=NATS, unit="nats per token", test=_loss,
    ),
    _capability_claim(
        "C2-minimal-pairs", "grammar",
        "Accuracy on minimal pairs (BLiMP, or the forum language's own), largest share less none",
        rows="capability_score blimp or minimal_pairs, accuracy, unsteered", margin=POINTS, unit="points",
        test=_accuracy("blimp", "minimal_pairs"),
    ),
    _capability_claim(
        "C2-multiple-choice", "multiple choice",
        "Mean accuracy over multiple-choice sets, largest share less none",
        rows="capability_score mcq_*, accuracy, unsteered", margin=POINTS, unit="points",
        test=_accuracy("mcq%"),
    ),
    _probe_claim(
        "C2-detection", "Toxic text helps the model to tell toxic text",
        "Does toxicity detection improve?",
        estimand="AUROC on the test split of the head that is best on the select split, largest share less "
        "none",
        statistic=_best_auroc,
    ),
)  # fmt: skip
