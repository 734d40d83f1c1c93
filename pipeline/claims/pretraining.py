"""C2: does toxic text cost capability, and does it help to tell toxic text? Values by arm are [seeds]."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from hormesis.pipeline.claims.compare import against, largest_and_none, toxic_only
from hormesis.pipeline.claims.declared import (
    DIRECTION,
    EQUIVALENCE,
    POINTS,
    Claim,
    Missing,
    Outcome,
    Scale,
    Scope,
    directional,
    equivalent,
)
from hormesis.pipeline.claims.rows import StudyRows, ValuesByArm

NATS = Scale("nats per token")
NATS_MARGIN, POINTS_MARGIN, POINTS_SESOI = 0.05, 2.0, 0.5
SEEDS_ONLY = "seeds are the unit; the items are the same in every arm and taken as fixed"


def _loss(study: StudyRows, scope: Scope) -> Outcome:
    loss_by_arm = study.metric("cross_entropy")
    pair = largest_and_none(loss_by_arm)
    if isinstance(pair, Missing):
        return pair
    return equivalent(
        against(loss_by_arm, *pair, scale=NATS, sign=0), NATS_MARGIN, scale=NATS, contrast=str(pair),
        detail=f", clean held-out text; {SEEDS_ONLY}", n=study.metric_n("cross_entropy"),
    )  # fmt: skip


TASKS = {"blimp": "BLiMP", "minimal_pairs": "minimal pairs", "mcq%": "multiple-choice questions"}
"""Tasks of capability in words, by SQL pattern."""


def _accuracy(*tasks: str) -> Callable[[StudyRows, Scope], Outcome]:
    def test(study: StudyRows, scope: Scope) -> Outcome:
        """Accuracy on the first of `tasks` (SQL patterns) with rows; the largest share less none."""
        for task in tasks:
            accuracy_by_arm, items = study.capability(task)
            if accuracy_by_arm:
                break
        else:
            names = [TASKS.get(task, task) for task in tasks]
            return Missing(f"needs capability on {' or '.join(names)}")
        pair = largest_and_none(accuracy_by_arm)
        if isinstance(pair, Missing):
            return pair
        effect = against(accuracy_by_arm, *pair, scale=POINTS, sign=0)
        detail = f", {items:,} items; {SEEDS_ONLY}"
        return equivalent(effect, POINTS_MARGIN, scale=POINTS, contrast=str(pair), detail=detail, n=items)

    return test


def _over_heads(statistic: Callable[[pd.DataFrame], float]) -> Callable[[StudyRows, Scope], Outcome]:
    def test(study: StudyRows, scope: Scope) -> Outcome:
        """A statistic of a checkpoint's heads, the largest share less none; `n`: test statements."""
        statistic_by_arm, n = probe_arms(study, statistic)
        pair = largest_and_none(statistic_by_arm)
        if isinstance(pair, Missing):
            return pair
        effect = against(statistic_by_arm, *pair, scale=POINTS, sign=+1)
        detail = f", {n:,} test statements; {SEEDS_ONLY}; heads are never counted as samples"
        return directional(effect, +1, POINTS_SESOI, scale=POINTS, contrast=str(pair), detail=detail, n=n)

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
        rule=DIRECTION.format(sesoi=POINTS_SESOI, unit="points"),
        test=_over_heads(statistic),
        breadth="study",
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
        breadth="study",
    )


CLAIMS = (
    _capability_claim(
        "C2-cross-entropy", "held-out loss",
        "Cross-entropy on clean held-out text, largest share less none, unsteered",
        rows="metric cross_entropy of the condition none", margin=NATS_MARGIN,
        unit="nats per token", test=_loss,
    ),
    _capability_claim(
        "C2-minimal-pairs", "grammar",
        "Accuracy on minimal pairs (BLiMP, or the forum language's own), largest share less none",
        rows="capability_score blimp or minimal_pairs, accuracy, unsteered", margin=POINTS_MARGIN,
        unit="points", test=_accuracy("blimp", "minimal_pairs"),
    ),
    _capability_claim(
        "C2-multiple-choice", "multiple choice",
        "Mean accuracy over multiple-choice sets, largest share less none",
        rows="capability_score mcq_*, accuracy, unsteered", margin=POINTS_MARGIN, unit="points",
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
